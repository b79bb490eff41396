"""What becomes of a release that fails, or whose run ends: what was deployed before is deployed again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

from flows.core.errors import FenceLost, ReleaseUndone, SlipwayError, UndoFailed
from flows.core.release.record import Record
from flows.runtime import artifacts, tasks
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock
from flows.stages.release import explain
from flows.stages.undo import restore_unverified

RECOVER = "recover/on-demand"
"""The deployment that verifies, and closes, what a cancelled run has restored."""


@contextmanager
def undo_on_failure(run: RunContext, lock: EnvironmentLock, record: Record) -> Iterator[None]:
    """Undo the release on any failure, unless another run has taken over: that one continues."""
    with restore_on_interrupt(run, lock, record):
        try:
            yield
        except FenceLost:
            raise
        except SlipwayError as failure:
            raise undone_error(run, lock, record, failure) from failure


@contextmanager
def restore_on_interrupt(run: RunContext, lock: EnvironmentLock, record: Record) -> Iterator[None]:
    """Restore at once what was deployed before, also while undoing: Prefect kills 30 s after a cancel.

    What interrupted it is raised again, whatever becomes of that: nothing may begin after a cancel.
    """
    try:
        yield
    except SlipwayError:
        raise
    except BaseException as end:
        reason = f"its run broke off: {end!r}" if isinstance(end, Exception) else "its run was cancelled"
        try:
            restore_unverified(run, lock, record, reason)
        except SlipwayError as second:
            run.say(f"The previous release of {lock.environment} could not be restored: {second}")
        finally:
            start_recovery(run, lock.environment)
        raise


def undone_error(
    run: RunContext, lock: EnvironmentLock, record: Record, failure: SlipwayError
) -> ReleaseUndone:
    """The error with both stories, after the previous release was restored; else `UndoFailed`."""
    story = f"{record} failed in {lock.environment}: {failure}"
    run.say(story)
    if details := failure.details or explain(run, lock.environment):
        run.say(details)
    failed = replace(record, undoing=failure.happened, fault=failure.fault)
    outcome = undo(run, lock, failed, story, details)
    return ReleaseUndone(story, f"Undone: {outcome}", details=details)


def undo(run: RunContext, lock: EnvironmentLock, record: Record, story: str, details: str = "") -> str:
    """Restore what was deployed before, verify it, and close the record; what is deployed now.

    `UndoFailed` has the `story` that led here, and how the undo ended.
    """
    try:
        return _undo(run, lock, record)
    except FenceLost:
        raise
    except SlipwayError as failure:
        raise UndoFailed(
            f"{story} Undo failed too: {failure}",
            f"Look at {lock.environment} now. Correct the cause, then start {RECOVER} or release again: both "
            "continue the undo.",
            details=f"{details}\n\nWhile undoing:\n{failure.details or failure}",
        ) from failure


def _undo(run: RunContext, lock: EnvironmentLock, record: Record) -> str:
    deployed = tasks.find_deployed(run, lock.environment)
    tasks.undo_write_record(run, lock, record)
    tasks.undo_restore(run, lock, record, deployed)
    if deployed is None:
        tasks.watch_removal(run, lock)
        outcome = f"{lock.environment} is as empty as it was before."
    else:
        tasks.undo_watch_rollout(run, lock)
        proof = tasks.undo_verify_replicas(run, lock, deployed)
        outcome = f"{deployed} is in force again: {proof}."
    tasks.mark_undone(run, lock, record)
    artifacts.update_history_page(run, lock.environment)
    return outcome


def start_recovery(run: RunContext, environment: str) -> None:
    """Start a run that verifies what was restored: this one has no time left.

    Where Prefect is away, the next release of the environment does it.
    """
    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(run.settings.runs.recover)
            client.create_flow_run_from_deployment(deployment.id, parameters={"environment": environment})
    except (PrefectException, httpx.HTTPError) as error:
        run.say(f"{RECOVER} could not be started; the next release of {environment} does the same: {error}")
