"""What release, rollback and recover share: a recorded release comes into force, or is taken back whole."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

from flows.core.errors import FenceLost, ReleaseUndone, SlipwayError, UndoFailed
from flows.core.release import record as records
from flows.core.release.record import Record
from flows.runtime import artifacts, tasks
from flows.services.kubernetes import lease
from flows.services.kubernetes.release_store import Records
from flows.services.verification.verification import Latency
from flows.stages import undo
from flows.stages.context import RunContext
from flows.stages.release import EnvironmentLock, explain

RECOVER = "recover/on-demand"
"""The deployment that proves, and closes, what a cancelled run has put back."""


def one_lease_period(run: RunContext) -> float:
    """Seconds in which a holder that lives is seen to renew its Lease, and one that was killed is not."""
    return run.settings.runs.lease + 1


@contextmanager
def turn(run: RunContext, environment: str, wait: float) -> Iterator[EnvironmentLock]:
    """The environment's lock, for as long as the context lasts; `LockedByAnother` after `wait` seconds."""
    tasks.check_fence(run, environment)
    with lease.acquire(run.cluster(environment), run.id, wait, run.say) as held:
        here = EnvironmentLock(environment, held)
        tasks.stamp(run, here)
        yield here


def put_in_force(
    run: RunContext, here: EnvironmentLock, record: Record, reason: str, outgoing: Latency | None = None
) -> str:
    """Apply, watch, prove and soak a recorded release; what was seen. Else `ReleaseUndone`, or worse."""
    with taken_back_on_failure(run, here, record):
        tasks.apply_manifests(run, here, record)
        tasks.watch_rollout(run, here)
        proof = tasks.prove(run, here, record, outgoing)
        soak = tasks.soak(run, here)
    tasks.close_good(run, here, record, reason)
    keep_ledger(run, here.environment)
    return f"{proof}; {soak}"


@contextmanager
def taken_back_on_failure(run: RunContext, here: EnvironmentLock, record: Record) -> Iterator[None]:
    """Undo the release on any failure; not where another run has taken over, whose move it then is."""
    with put_back_if_cut_off(run, here, record):
        try:
            yield
        except FenceLost:
            raise
        except SlipwayError as failure:
            raise undone(run, here, record, failure) from None


@contextmanager
def put_back_if_cut_off(run: RunContext, here: EnvironmentLock, record: Record) -> Iterator[None]:
    """Put back at once what was in force, also while undoing: Prefect kills 30 s after a cancel.

    What cut it off is raised again, whatever becomes of that: nothing may begin behind a cancel.
    """
    try:
        yield
    except SlipwayError:
        raise
    except BaseException as end:
        reason = f"its run broke off: {end!r}" if isinstance(end, Exception) else "its run was cancelled"
        try:
            undo.put_back_unproven(run, here, record, reason)
        except SlipwayError as second:
            run.say(f"What was in force in {here.environment} could not be put back: {second}")
        finally:
            start_recovery(run, here.environment)
        raise


def undone(run: RunContext, here: EnvironmentLock, record: Record, failure: SlipwayError) -> ReleaseUndone:
    """The error that tells both stories, once what was in force before is again; else `UndoFailed`."""
    story = f"{record} failed in {here.environment}: {failure}"
    run.say(story)
    if details := failure.details or explain(run, here.environment):
        run.say(details)
    failed = replace(record, undoing=failure.happened, fault=failure.fault)
    outcome = take_back(run, here, failed, story, details)
    return ReleaseUndone(story, f"Undone: {outcome}", details=details)


def take_back(run: RunContext, here: EnvironmentLock, record: Record, story: str, details: str = "") -> str:
    """Put back what was in force before, prove it, and close the record; what is in force now.

    `UndoFailed` tells the `story` that led here, and how this ended.
    """
    try:
        return _taken_back(run, here, record)
    except FenceLost:
        raise
    except SlipwayError as failure:
        raise UndoFailed(
            f"{story} UNDOING IT FAILED AS WELL: {failure}",
            f"Look at {here.environment} now. Once the cause is gone, start {RECOVER}, or release again: "
            "either goes on with the undoing.",
            details=f"{details}\n\nWhile undoing:\n{failure.details or failure}",
        ) from None


def _taken_back(run: RunContext, here: EnvironmentLock, record: Record) -> str:
    good = tasks.last_good(run, here.environment)
    tasks.write_undoing(run, here, record)
    tasks.put_back(run, here, record, good)
    if good is None:
        tasks.watch_removal(run, here)
        tasks.close_undone(run, here, record)
        keep_ledger(run, here.environment)
        return f"{here.environment} is as empty as it was before."
    tasks.watch_undo(run, here)
    proof = tasks.prove_undone(run, here, good)
    tasks.close_undone(run, here, record)
    keep_ledger(run, here.environment)
    return f"{good} is in force again: {proof}."


def keep_ledger(run: RunContext, environment: str) -> None:
    """Write what is live now into the environment's ledger, where it says anything else; no run fails by it.

    While a release is under way that is its run's to do, which then knows more.
    """
    try:
        history = Records(run.cluster(environment)).history()
    except SlipwayError as error:
        run.say(f"The ledger of {environment} was not written, which nothing depends on: {error}")
        return
    if records.pending(history) is None:
        artifacts.publish_live(run, environment, history)


def reconcile(run: RunContext, here: EnvironmentLock, is_wanted: Callable[[Record], bool]) -> str | None:
    """Finish or undo what a run before this one left in the middle; what became of it, or None.

    It is finished where its rollout has ended well and it is (still) what is wanted; else undone.
    `ReleaseUndone` where it failed its proof, after all.
    """
    tasks.close_leftovers(run, here)
    record = tasks.find_pending(run, here.environment)
    if record is None:
        return None
    story = f"{record} was left in the middle by run {record.run}."
    run.say(story)
    if not record.undoing and is_wanted(record) and tasks.is_healthy(run, here.environment, record):
        seen = put_in_force(run, here, record, "finished by the run after the one that was cut off")
        return f"{record} was cut off and is finished now: {seen}."
    undoing_it = replace(record, undoing=record.undoing or "its run was cut off")
    outcome = take_back(run, here, undoing_it, story)
    return f"{record} was cut off and is undone now: {outcome}"


def start_recovery(run: RunContext, environment: str) -> None:
    """Have a run of its own prove what was put back: this one's time is up.

    Where Prefect is away, the next release of the environment does it.
    """
    try:
        with get_client(sync_client=True) as client:
            deployment = client.read_deployment_by_name(RECOVER)
            client.create_flow_run_from_deployment(deployment.id, parameters={"environment": environment})
    except (PrefectException, httpx.HTTPError) as error:
        run.say(f"{RECOVER} could not be started, the next release of {environment} recovers it: {error}")
