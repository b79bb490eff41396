"""What every flow does around its stages: open the run, and close it with a report that explains it."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import cast
from uuid import UUID

import httpx
from prefect import get_run_logger, runtime
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import FlowRun
from prefect.concurrency.asyncio import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from flows.core.errors import ClaimedByAnother, SettingsError, SlipwayError
from flows.core.trigger.run_labels import AGAIN
from flows.runtime import artifacts
from flows.runtime.artifacts import Report
from flows.services.models.transfer import Progress
from flows.stages.context import RunContext, opened

TELL_EVERY = 2.0
"""Seconds between two updates of a progress artifact: each is a request to the server."""

LATEST = "slipway-latest"
"""The global concurrency limit of 1 under which `latest` moves: a registry can't compare and set."""

BY_SCHEDULE = "auto-scheduled"
"""Tag that Prefect's scheduler gives its runs."""

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


@contextmanager
def run_context(key: str, report: Report) -> Iterator[RunContext]:
    """This flow's run; `report` is published at its end, and after an error explains that as well."""
    with opened(str(runtime.flow_run.id), _log, _progress) as run:
        try:
            yield run
        except SlipwayError as error:
            if error.details:
                _log(error.details)
            artifacts.publish_failure(run, key, error, report)
            raise
        artifacts.publish(run, key, report)


def this_run() -> FlowRun | None:
    """The run that this code is in, as the server knew it when it began; None outside of any."""
    context = FlowRunContext.get()
    return context.flow_run if context else None


def started_by_clock(run: FlowRun) -> bool:
    """Whether a schedule made the run, or the one that it stands in for.

    A restarted run has the tags of the one that crashed, Prefect's mark of a schedule among them.
    """
    return bool(run.auto_scheduled) or (AGAIN in run.tags and BY_SCHEDULE in run.tags)


def was_scheduled() -> bool:
    """Whether the clock started this run, and not a person."""
    run = this_run()
    return run is not None and started_by_clock(run)


def asked_by(name: str) -> str:
    """Who asked for this run: the name they gave, as Prefect's open-source server has no users."""
    return name or ("the schedule" if was_scheduled() else "unknown user")


def _log(line: str) -> None:
    get_run_logger().info(line)


def _progress(title: str) -> Progress:
    """Shows a transfer as a progress artifact and in the log, from its first update on."""
    artifact: UUID | None = None
    reported = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal artifact, reported
        if done < total and time.monotonic() - reported < TELL_EVERY:
            return
        reported = time.monotonic()
        percent = 100 * done / max(total, 1)
        _log(f"{title}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        with suppress(PrefectException, httpx.HTTPError):  # a busy server must not break the transfer
            if artifact is None:
                artifact = cast(UUID, create_progress_artifact(percent, description=title))
            else:
                update_progress_artifact(artifact, percent)

    return tell
