"""What every flow does around its stages: open the run, and publish its report at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast
from uuid import UUID

import httpx
from prefect import get_run_logger, runtime
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from flows.core.errors import SlipwayError
from flows.core.text import printable
from flows.core.trigger.run_labels import was_restarted
from flows.credentials import prefect_blocks
from flows.runtime import artifacts
from flows.runtime.artifacts import Report
from flows.runtime.flow_errors import errors_on_one_line
from flows.services.models.transfer import Progress
from flows.stages.context import RunContext, opened

TELL_EVERY = 2.0
"""Seconds between two updates of a progress artifact: each is a request to the server."""

BY_SCHEDULE = "auto-scheduled"
"""Tag that Prefect's scheduler gives its runs."""


@contextmanager
def run_context(key: str, report: Report) -> Iterator[RunContext]:
    """The context of this flow's run; `report` is published at its end, with the error if there is one."""
    run_id = str(runtime.flow_run.id)
    with errors_on_one_line(), opened(run_id, _log, _progress, prefect_blocks) as run:
        try:
            yield run
        except SlipwayError as error:
            if error.details:
                _log(error.details)
            artifacts.publish_failure(run, key, error, report)
            raise
        artifacts.publish(run, key, report)


def this_run() -> FlowRun | None:
    """The flow run that this code is in, as the server knew it at its start; None outside of a flow run."""
    context = FlowRunContext.get()
    return context.flow_run if context else None


def started_by_clock(run: FlowRun) -> bool:
    """Whether a schedule made the run, or the crashed run that it replaces.

    A restarted run has the tags of the crashed one, among them the one that Prefect's scheduler gives.
    """
    return bool(run.auto_scheduled) or (was_restarted(run.tags) and BY_SCHEDULE in run.tags)


def was_scheduled() -> bool:
    """Whether a schedule started this run, and not a person."""
    run = this_run()
    return run is not None and started_by_clock(run)


def asked_by(name: str) -> str:
    """Who asked for this run: the name they gave, as Prefect's open-source server has no users."""
    return name or ("the schedule" if was_scheduled() else "unknown user")


def _log(line: str) -> None:
    get_run_logger().info(printable(line))


def _progress(title: str) -> Progress:
    """A function that shows a transfer as a progress artifact and in the log, from its first update on."""
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
