"""A lock for runs on all machines: a global concurrency limit of 1 on the Prefect server."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prefect.concurrency.asyncio import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

from flows.core.errors import ClaimedByAnother, SettingsError

LATEST = "slipway-latest"
"""The limit under which `latest` moves, because a registry has no compare-and-set."""

LEASE = 60
"""Seconds for which a slot stays taken after its holder was killed: the least that Prefect accepts. Its
server looks for expired leases every 15 s."""

LOCK_TIMEOUT = 300
"""Seconds to wait for a slot: longer than a lease, and longer than a running holder needs it."""

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
                    "See at Concurrency in the Prefect UI which run holds it, and start this run again.",
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
