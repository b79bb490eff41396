"""The stages of an undo: restore all objects of the last good release, and delete what it did not have."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from flows.core.errors import RolloutFailed
from flows.core.release import record as records
from flows.core.release.found import created, given_back
from flows.core.release.kinds import autoscalers, without_jobs
from flows.core.release.record import Record, ReleaseStatus
from flows.core.rollout.snapshot import EndingPods
from flows.services.process.patience import Patience
from flows.services.process.poll import Waiting, poll
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock
from flows.stages.release import quarantine, write_record

POLL = 0.3


def find_deployed(run: RunContext, environment: str) -> Record | None:
    """The live release as the records say, to which an undo goes back; None where there is none."""
    return records.live(run.releases(environment).history())


def restore(run: RunContext, lock: EnvironmentLock, record: Record, good: Record | None) -> None:
    """Apply all objects of the `good` release and those that `record` found; delete those that `record` made.

    A field that a person has set by hand meanwhile is overwritten: the record says what is live. Autoscalers
    are deleted first, because replicas are left to an autoscaler that is there. Jobs are not applied again.
    """
    cluster, fence = run.cluster(lock.environment), lock.held.fence
    run.say(f"Restoring {good}." if good else f"There was no release before {record}: removing it.")
    made, found = created(record, good), given_back(record, good)
    cluster.delete(autoscalers(made), fence, run.say)
    before = without_jobs([*(good.objects if good else ()), *found])
    cluster.apply(before, fence, run.say, by_force=True)
    cluster.delete(made, fence, run.say)


def restore_unverified(run: RunContext, lock: EnvironmentLock, record: Record, reason: str) -> None:
    """Record that the release is being undone, and restore; a run that ends has no time for more.

    An undo that was recorded already keeps its reason.
    """
    history = run.releases(lock.environment).history()
    begun = next((r for r in history if r.number == record.number and r.undoing), None)
    begun = begun or write_record(run, lock, replace(record, undoing=reason))
    restore(run, lock, begun, records.live(history))


def watch_removal(run: RunContext, lock: EnvironmentLock, record: Record) -> None:
    """Wait until the first release, which failed, has left no pod behind; `RolloutFailed` at the time-out."""
    gone = created(record, None)
    cluster = run.cluster(lock.environment)
    timeout = run.settings.environment(lock.environment).rollout_timeout
    patience, ending = Patience(run.say, lock.held.require_held, timeout), EndingPods()

    def look() -> bool | Waiting:
        lock.held.require_held()
        pods = patience.wait_out(lambda: [pod for item in gone for pod in cluster.pods_of(item)])
        left = {pod["metadata"]["uid"] for pod in pods} - ending.lost(pods, time.monotonic())
        return Waiting(f"{len(left)} pods are still there") if left else True

    def late(what: str) -> RolloutFailed:
        return RolloutFailed(
            f"{what} {timeout} s after they were removed.",
            "Run `kubectl describe pods` to see why the pods do not end.",
        )

    poll(look, timeout=timeout, pause=POLL, late=late)


def mark_undone(run: RunContext, lock: EnvironmentLock, record: Record) -> Record:
    """Close the record: as failed where the image was at fault, which is then quarantined, else as rolled
    back."""
    if record.fault == "image":
        quarantine(run, lock, record, record.undoing)
    verdict: ReleaseStatus = "failed" if record.fault == "image" else "rolled_back"
    closed = write_record(run, lock, record.closed(verdict, record.undoing, datetime.now(UTC)))
    run.releases(lock.environment).prune(lock.held.fence)
    return closed


def is_rollout_complete(run: RunContext, environment: str, record: Record) -> bool:
    """Whether the rollout of a release that was cut off has ended well without its run."""
    cluster = run.cluster(environment)
    live = cluster.live()
    wanted = (record.image.digest, record.manifests)
    return live is not None and live.settled and (live.image.digest, live.manifests) == wanted
