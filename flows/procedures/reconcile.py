"""Finish or undo a release whose run was killed: the next run of the environment does it."""

from collections.abc import Callable
from dataclasses import replace

from flows.core.build.image import Image
from flows.core.errors import LockedByAnother, ReleaseUndone, SlipwayError, UndoFailed
from flows.core.release.record import Record
from flows.core.release.report import EnvironmentReport
from flows.procedures.deploy import deploy, environment_lock, one_lease_period
from flows.procedures.undo import undo
from flows.runtime import tasks
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock


def reconcile_pending(run: RunContext, report: EnvironmentReport, environment: str) -> None:
    """Finish or undo a release whose run was killed; leave alone one whose run is still at work.

    An error is logged and the run goes on, because its release may repair what is wrong. Only `UndoFailed` is
    raised: a person has to act.
    """
    try:
        if tasks.find_pending(run, environment) is None:
            return
        with environment_lock(run, environment, one_lease_period(run)) as lock:
            recover_abandoned(run, report, lock)
    except LockedByAnother as other:
        report.interrupted = str(other)
    except UndoFailed:
        raise
    except SlipwayError as failure:
        run.say(f"Could not check {environment} for an unfinished release: {failure}")


def recover_abandoned(
    run: RunContext, report: EnvironmentReport, lock: EnvironmentLock, image: Image | None = None
) -> None:
    """The same under a lock that the run holds already. A release that had to be undone does not end the run.

    With `image`, a release of any other image is undone: this run replaces it.
    """
    try:
        outcome = reconcile(run, lock, lambda record: image is None or record.image.digest == image.digest)
    except ReleaseUndone as failure:
        outcome = str(failure)
    if outcome is not None:
        report.interrupted = outcome


def reconcile(run: RunContext, lock: EnvironmentLock, is_wanted: Callable[[Record], bool]) -> str | None:
    """Finish or undo the release that an earlier run left in the middle; what became of it, None if there is
    none.

    It is finished if its rollout has ended well and it `is_wanted`; otherwise it is undone. `ReleaseUndone`
    if it then fails its verification or soak.
    """
    tasks.close_leftovers(run, lock)
    record = tasks.find_pending(run, lock.environment)
    if record is None:
        return None
    story = f"{record} was left in the middle by run {record.run}."
    run.say(story)
    if not record.undoing and is_wanted(record) and tasks.is_rollout_complete(run, lock.environment, record):
        why = "finished by the run after the one that was cut off"
        seen = deploy(run, lock, record, why, is_applied=True)
        return f"{record} was cut off and is finished now: {seen}."
    undoing_it = replace(record, undoing=record.undoing or "its run was cut off")
    outcome = undo(run, lock, undoing_it, story)
    return f"{record} was cut off and is undone now: {outcome}"
