"""What release, rollback and recover share: a recorded release is deployed, or undone whole."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.core.release.record import Record
from flows.procedures.undo import undo_on_failure
from flows.runtime import artifacts, tasks
from flows.services.kubernetes import lease
from flows.services.verification.verification import Latency
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock


def one_lease_period(run: RunContext) -> float:
    """Seconds in which a holder that lives is seen to renew its Lease, and one that was killed is not."""
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
    run: RunContext, lock: EnvironmentLock, record: Record, reason: str, outgoing: Latency | None = None
) -> str:
    """Apply, watch, verify and soak a recorded release; what was seen. Else `ReleaseUndone`, or worse."""
    with undo_on_failure(run, lock, record):
        tasks.apply_manifests(run, lock, record)
        tasks.watch_rollout(run, lock)
        proof = tasks.verify_replicas(run, lock, record, outgoing)
        soak = tasks.soak(run, lock)
    tasks.mark_deployed(run, lock, record, reason)
    artifacts.update_history_page(run, lock.environment)
    return f"{proof}; {soak}"
