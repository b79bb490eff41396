"""What becomes of a release whose run was killed: the next run finishes or undoes it."""

from collections.abc import Callable
from dataclasses import replace

from flows.core.release.record import Record
from flows.procedures.deploy import deploy
from flows.procedures.undo import undo
from flows.runtime import tasks
from flows.stages.context import RunContext
from flows.stages.release import EnvironmentLock


def reconcile(run: RunContext, lock: EnvironmentLock, is_wanted: Callable[[Record], bool]) -> str | None:
    """Finish or undo what a run before this one left in the middle; what became of it, or None.

    It is finished where its rollout has ended well and it is (still) what is wanted; else undone.
    `ReleaseUndone` where it failed its proof, after all.
    """
    tasks.close_leftovers(run, lock)
    record = tasks.find_pending(run, lock.environment)
    if record is None:
        return None
    story = f"{record} was left in the middle by run {record.run}."
    run.say(story)
    if not record.undoing and is_wanted(record) and tasks.is_rollout_complete(run, lock.environment, record):
        seen = deploy(run, lock, record, "finished by the run after the one that was cut off")
        return f"{record} was cut off and is finished now: {seen}."
    undoing_it = replace(record, undoing=record.undoing or "its run was cut off")
    outcome = undo(run, lock, undoing_it, story)
    return f"{record} was cut off and is undone now: {outcome}"
