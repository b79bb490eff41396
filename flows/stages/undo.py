"""Taking a release back: the last good one's recorded manifests, all of them, and nothing that it had not."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from flows.core.errors import RolloutFailed
from flows.core.release import record as records
from flows.core.release.record import Record, ReleaseStatus
from flows.core.rollout.snapshot import EndingPods
from flows.services.process.patience import Patience
from flows.services.process.poll import Waiting, poll
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock
from flows.stages.release import mark_bad, write_record

POLL = 0.3


def find_deployed(run: RunContext, environment: str) -> Record | None:
    """What an environment goes back to: the release that is in force, as its records say."""
    return records.live(run.releases(environment).history())


def restore(run: RunContext, lock: EnvironmentLock, record: Record, good: Record | None) -> None:
    """Re-apply all of the good release, and delete what the other one added; with none, delete everything.

    A field that a person has set by hand meanwhile is overwritten: the record says what is live.
    """
    cluster = run.cluster(lock.environment)
    if good is not None:
        run.say(f"Putting {good} back.")
        cluster.apply(good.objects, lock.held.fence, run.say, by_force=True)
    else:
        run.say(f"There was nothing before {record}: removing it.")
    cluster.delete(records.added(record, good), lock.held.fence, run.say)


def restore_unverified(run: RunContext, lock: EnvironmentLock, record: Record, reason: str) -> None:
    """What there is time for in a run that ends; an undoing that has begun keeps its own reason."""
    history = run.releases(lock.environment).history()
    begun = next((r for r in history if r.number == record.number and r.undoing), None)
    begun = begun or write_record(run, lock, replace(record, undoing=reason))
    restore(run, lock, begun, records.live(history))


def watch_removal(run: RunContext, lock: EnvironmentLock) -> None:
    """Wait until the first release, which failed, has left no pod behind; `RolloutFailed` at the time-out."""
    cluster = run.cluster(lock.environment)
    timeout = run.settings.environment(lock.environment).rollout_timeout
    patience = Patience(run.say, lock.held.require_held, timeout)

    ending = EndingPods()

    def look() -> bool | Waiting:
        lock.held.require_held()
        pods = patience.wait_out(cluster.pods)
        left = {pod["metadata"]["uid"] for pod in pods} - ending.lost(pods, time.monotonic())
        return Waiting(f"{len(left)} pods are still there") if left else True

    def late(what: str) -> RolloutFailed:
        return RolloutFailed(
            f"{what} {timeout} s after they were removed.",
            "See why the pods don't end: kubectl describe pods.",
        )

    poll(look, timeout=timeout, pause=POLL, late=late)


def mark_undone(run: RunContext, lock: EnvironmentLock, record: Record) -> Record:
    """The record's last word: bad where the image was to blame, else undone; a bad image is marked."""
    if record.fault == "image":
        mark_bad(run, lock, record, record.undoing)
    verdict: ReleaseStatus = "failed" if record.fault == "image" else "rolled_back"
    closed = write_record(run, lock, record.closed(verdict, record.undoing, datetime.now(UTC)))
    run.releases(lock.environment).prune(lock.held.fence)
    return closed


def is_rollout_complete(run: RunContext, environment: str, record: Record) -> bool:
    """Whether the rollout of a release that was cut off has ended well all the same."""
    cluster = run.cluster(environment)
    live = cluster.live()
    wanted = (record.image.digest, record.manifests)
    return live is not None and live.settled and (live.image.digest, live.manifests) == wanted
