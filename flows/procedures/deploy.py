"""What release, rollback and recover share: deploy a recorded release, or undo all of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.core.release.record import Record
from flows.core.verification.error_rate import UNKNOWN
from flows.procedures.undo import undo_on_failure
from flows.runtime import artifacts, duel_memory, tasks
from flows.services.kubernetes import lease
from flows.services.verification.verification import Latency
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock


def one_lease_period(run: RunContext) -> float:
    """Seconds in which a running holder renews its Lease, so that one that does not was killed."""
    return run.settings.runs.lease + 1


@contextmanager
def environment_lock(run: RunContext, environment: str, wait: float) -> Iterator[EnvironmentLock]:
    """The environment's lock, for as long as the context lasts; `LockedByAnother` after `wait` seconds."""
    tasks.check_fence(run, environment)
    with lease.acquire(run.cluster(environment), run.id, wait, run.say) as held:
        lock = EnvironmentLock(environment, held)
        tasks.claim_objects(run, lock)
        yield lock


def deploy(
    run: RunContext,
    lock: EnvironmentLock,
    record: Record,
    reason: str,
    outgoing: Latency | None = None,
    *,
    was_served: bool = False,
    is_applied: bool = False,
) -> str:
    """Apply, watch, verify and soak a recorded release; what was seen, for the report.

    If it fails, it is undone: `ReleaseUndone`, or `UndoFailed`. If nothing `was_served` to users before, load
    balancer and DNS may need minutes. A release that `is_applied` already, by a run that was cut off, is what
    is live: its own 5xx are no reference for its soak.
    """
    with undo_on_failure(run, lock, record):
        before = UNKNOWN if is_applied else tasks.count_outgoing(run, lock)
        tasks.apply_manifests(run, lock, record)
        tasks.watch_rollout(run, lock, record)
        tasks.await_endpoint(run, lock, replica=not was_served)
        proof = tasks.verify_replicas(run, lock, record, outgoing)
        soak = tasks.soak(run, lock, before)
    tasks.mark_deployed(run, lock, record, reason)
    duel_memory.remember_live(run, lock.environment, record)
    artifacts.update_history_page(run, lock.environment)
    return f"{proof}; {soak}"
