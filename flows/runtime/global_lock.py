"""The lock that runs on all machines share: a global concurrency limit of 1 on the Prefect server."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prefect.concurrency.asyncio import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

from flows.core.errors import ClaimedByAnother, SettingsError

LATEST = "slipway-latest"
"""The global concurrency limit of 1 under which `latest` moves: a registry can't compare and set."""

LEASE = 60
"""Seconds for which a slot stays taken when its holder is killed, the least that Prefect takes; its server
looks every 15 s for what has run out."""

LOCK_TIMEOUT = 300
"""Seconds to wait for a slot: longer than a lease, and than anybody who lives holds one."""

ASK_FOR = 5
"""Seconds after which a slot is requested again. Until then, a cancelled process does not end."""

REACQUIRE_PAUSE = 2 * ASK_FOR
"""Seconds before a loop takes the slot again. Prefect's limits have no queue, so other runs get the slot only
if it is free when they ask."""


@contextmanager
def global_lock(limit: str) -> Iterator[None]:
    """Hold the only slot of a global concurrency limit; `SettingsError` where there is no such limit."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    with ExitStack() as held:
        while not _took(limit, held):
            if time.monotonic() > deadline:
                raise ClaimedByAnother(
                    f"Another run has held the concurrency limit {limit!r} for {LOCK_TIMEOUT} s.",
                    "See at Concurrency in the Prefect UI who holds it, and run this again.",
                )
        yield


def _took(limit: str, held: ExitStack) -> bool:
    try:
        held.enter_context(concurrency(limit, timeout_seconds=ASK_FOR, lease_duration=LEASE, strict=True))
    except AcquireConcurrencySlotTimeoutError:
        return False
    except ConcurrencySlotAcquisitionError as error:
        raise SettingsError(
            f"Prefect gives no slot of the concurrency limit {limit!r}: {error}.",
            f"Create it: prefect gcl create {limit} --limit 1",
        ) from None
    return True
