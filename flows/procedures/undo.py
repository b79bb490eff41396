"""Undo a release that fails, or whose run is interrupted: restore what was deployed before."""

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
    """Restore at once what was deployed before, also during an undo: Prefect kills a run 30 s after a cancel.

    The interrupting exception is raised again, even if the restore fails: no stage may begin after a cancel.
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
    """Undo the release; the error that says how it failed and how it was undone. Else `UndoFailed`."""
    story = f"{record} failed in {lock.environment}: {failure}"
    run.say(story)
    if details := failure.details or explain(run, lock.environment):
        run.say(details)
    failed = replace(
        record, undoing=failure.happened, fault=failure.fault, answered_wrong=failure.answered_wrong
    )
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
            f"Look at {lock.environment} now. Correct the cause, then start {run.settings.runs.recover} or "
            "release again: both continue the undo.",
            details=f"{details}\n\nWhile undoing:\n{failure.details or failure}",
        ) from failure


def _undo(run: RunContext, lock: EnvironmentLock, record: Record) -> str:
    deployed = tasks.find_deployed(run, lock.environment)
    tasks.undo_write_record(run, lock, record)
    tasks.undo_restore(run, lock, record, deployed)
    if deployed is None:
        tasks.watch_removal(run, lock, record)
        outcome = as_before(lock.environment, record)
    else:
        tasks.undo_watch_rollout(run, lock, deployed)
        tasks.undo_await_endpoint(run, lock)
        proof = tasks.undo_verify_replicas(run, lock, deployed)
        outcome = f"{deployed} is in force again: {proof}."
    tasks.mark_undone(run, lock, record)
    artifacts.update_history_page(run, lock.environment)
    return outcome


def as_before(environment: str, record: Record) -> str:
    """What is there after a first release was undone."""
    found = ", ".join(f"{item['kind']} {item['metadata']['name']}" for item in record.before)
    return (
        f"{environment} has what it had before: {found}."
        if found
        else f"{environment} is as empty as it was before."
    )


def start_recovery(run: RunContext, environment: str) -> None:
    """Start a run of recover that verifies what was restored: this run has no time left.

    If Prefect is away, the next release of the environment does it.
    """
    name = run.settings.runs.recover
    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(name)
            client.create_flow_run_from_deployment(deployment.id, parameters={"environment": environment})
    except (PrefectException, httpx.HTTPError) as error:
        run.say(f"{name} could not be started; the next release of {environment} does the same: {error}")
