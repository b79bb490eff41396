"""How every client of a blob store connects, and how errors name the block of its credentials."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # obstore has these for type checkers only
    from obstore.store import ClientConfig, RetryConfig

# obstore by itself tries for 3 minutes. A store that is away must be known within 5 s: trying for longer is
# the task's part, where ops can see it.
RETRY: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=3)}


def client_options(endpoint: str) -> "ClientConfig":
    """The time-outs of a client; plain HTTP only where the endpoint's URL has it."""
    return {
        "allow_http": endpoint.startswith("http://"),  # Azurite and the like, on loopback
        "connect_timeout": timedelta(seconds=3),
        "read_timeout": timedelta(seconds=30),  # without a byte; a busy store may think for a while
        "timeout": timedelta(minutes=10),  # for one part of 8 MiB, by whatever line there is
    }


def block_of(table: str) -> str:
    """How a remedy names the block of a store; `table` is that of slipway.toml which names the store."""
    return f"the Prefect block that [{table}] credentials in slipway.toml names"
