"""The stages from a decision to a release that is in force and proven."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

from flows.config import version
from flows.core.errors import ImageNotFound, RolloutFailed, SlipwayError
from flows.core.release import record as records
from flows.core.release.decision import EnvironmentSnapshot, Upstream, hold_lifted
from flows.core.release.environment_state import Hold, Quarantine
from flows.core.release.record import Record, ReleaseStatus
from flows.core.rollout.judge import Done
from flows.core.rollout.snapshot import CONTAINER
from flows.services.kubernetes import rollout_watch
from flows.services.kubernetes.release_store import Records
from flows.services.process.patience import Patience
from flows.services.verification import soak as soaks
from flows.services.verification import verification
from flows.services.verification.soak import Soak
from flows.services.verification.tls import EXPIRES_SOON
from flows.services.verification.verification import Latency, Proof
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock
from flows.stages.resolve_image import Plan

ROUNDS = 3
"""How often the outgoing release is asked each of the model's examples, to compare its answer times."""

WHOLE_WITHIN = 60.0
"""Seconds for a replica to get ready that is just being replaced, or that an autoscaler adds."""


def check_fence(run: RunContext, environment: str) -> None:
    """Require that the server enforces the lock, and that the bootstrap's objects are those of this version.

    Called before the lock is taken and anything is changed; else `ClusterNotPrepared`.
    """
    cluster = run.cluster(environment)
    cluster.require_namespace()
    cluster.require_fence()
    cluster.require_edition(version.cluster_edition())


def claim_objects(run: RunContext, lock: EnvironmentLock) -> None:
    """Mark what is there as this run's to change, so that what a run before it still deletes is refused."""
    cluster, fence = run.cluster(lock.environment), lock.held.fence
    run.say(f"This run holds the lock of {lock.environment}, as {fence}.")
    cluster.await_fence(fence)
    known = {records.identity(item): item for r in Records(cluster).history() for item in r.objects}
    cluster.stamp(tuple(known.values()), fence, run.say)


def observe(run: RunContext, environment: str) -> EnvironmentSnapshot:
    """What is live, what was released here, what is held or bad, and what the environment promotes from."""
    wanted = run.settings.environment(environment)
    cluster = run.cluster(environment)
    cluster.require_namespace()
    upstream = None
    if wanted.promotes_from is not None:
        history = tuple(run.releases(wanted.promotes_from).history())
        upstream = Upstream(wanted.promotes_from, history, wanted.bake)
    kept = Records(cluster)
    situation = EnvironmentSnapshot(cluster.live(), tuple(kept.history()), kept.notes(), upstream)
    if (live := records.live(situation.history)) is not None:
        _have_at_hand(run, live)
    return situation


def find_pending(run: RunContext, environment: str) -> Record | None:
    """A release that is under way, or was cut off."""
    return records.pending(run.releases(environment).history())


def check_endpoint(run: RunContext, environment: str, valid_for: timedelta = EXPIRES_SOON) -> None:
    """Require that name, load balancer and certificate are in order, before anything moves."""
    reported = run.cluster(environment).service_addresses()
    run.edge(environment).require_in_order(reported, run.say, valid_for=valid_for)


def find_examples(run: RunContext, record: Record) -> None:
    """Have at hand what the release will be proven by; `ImageNotFound` where the registry lost it."""
    run.model_manifest(record.image, record.content.capsule)


def measure_outgoing(run: RunContext, environment: str, live: Record | None) -> Latency | None:
    """How quickly what is live answers its model's examples; None where nothing is."""
    if live is None or not _have_at_hand(run, live):
        return None
    latency = verification.measure(
        run.edge(environment), run.model_manifest(live.image, live.content.capsule), ROUNDS
    )
    run.say(f"The outgoing release answers an example in {latency}.")
    return latency


def record_release(
    run: RunContext, lock: EnvironmentLock, plan: Plan, situation: EnvironmentSnapshot
) -> Record:
    """Write down what is about to be applied, before it is."""
    request, candidate, content = plan.request, plan.candidate, plan.candidate.content
    number = records.next_number(situation.history)
    cluster = run.cluster(lock.environment)
    annotations = {
        "slipway.dev/release": str(number),
        "slipway.dev/capsule": content.capsule,
        "slipway.dev/commit": content.commit,
        "slipway.dev/model": json.dumps(asdict(content.model)),
        "slipway.dev/manifests": plan.manifests.hash,
        CONTAINER: plan.manifests.container,
        "slipway.dev/run": run.id,
        "slipway.dev/reason": request.reason,
    }
    record = Record(
        number=number,
        image=candidate.image,
        content=content,
        model_created=candidate.model_created,
        manifests=plan.manifests.hash,
        objects=plan.manifests.annotated(cluster.deployment, annotations).objects,
        run=run.id,
        asked_by=request.asked_by,
        asked_for=request.reason,
        started=datetime.now(UTC),
        lifts_hold=hold_lifted(request, candidate, situation),
    )
    return write_record(run, lock, record)


def write_record(run: RunContext, lock: EnvironmentLock, record: Record) -> Record:
    """Put the record into the cluster, with this Slipway as its writer."""
    record = replace(record, written_by=version.full())
    run.releases(lock.environment).write(record, lock.held.fence)
    run.say(f"Recorded {record} in {lock.environment}: {record.ending}.")
    return record


def check_manifests(run: RunContext, lock: EnvironmentLock, plan: Plan) -> None:
    """Have the server look at all objects before anything is recorded; `ManifestsRejected` says why not.

    One that it does not take, or a field that a person has set otherwise by hand, needs no undoing so.
    """
    run.cluster(lock.environment).check(plan.manifests.objects, lock.held.fence)


def apply_manifests(run: RunContext, lock: EnvironmentLock, record: Record) -> None:
    """Apply all objects of the record, or none where the server would refuse one.

    A rollback also overwrites fields that a person has set by hand since.
    """
    lock.held.require_held()
    run.cluster(lock.environment).apply(record.objects, lock.held.fence, run.say, by_force=record.is_rollback)


def watch_rollout(run: RunContext, lock: EnvironmentLock) -> Done:
    """Wait until all replicas are new and ready and no old one is left; `RolloutFailed` explains."""
    timeout = run.settings.environment(lock.environment).rollout_timeout
    return watch(run, lock, timeout)


def watch(run: RunContext, lock: EnvironmentLock, timeout: float) -> Done:
    """Wait until the rollout is done, for so many seconds; errors as of `rollout_watch.watch`."""
    cluster, patience = run.cluster(lock.environment), run.settings.runs.api_patience
    return rollout_watch.watch(cluster, timeout, run.say, lock.held.require_held, patience=patience)


def verify_replicas(
    run: RunContext, lock: EnvironmentLock, record: Record, outgoing: Latency | None = None
) -> Proof:
    """Ask every replica its version and the model's examples, through the public URL."""
    wanted = run.settings.environment(lock.environment)
    cluster = run.cluster(lock.environment)
    patience = Patience(run.say, lock.held.require_held, run.settings.runs.api_patience)
    manifest = patience.wait_out(lambda: run.model_manifest(record.image, record.content.capsule))
    return verification.verify_replicas(
        run.edge(lock.environment),
        lambda: rollout_watch.replicas(cluster),
        record.content.capsule,
        manifest,
        outgoing=outgoing,
        slower_than=wanted.slower_than,
        say=run.say,
        alive=lock.held.require_held,
        restarts=lambda: rollout_watch.restarts(cluster),
        patience=run.settings.runs.api_patience,
    )


def verify_live(run: RunContext, lock: EnvironmentLock, record: Record) -> Proof:
    """The same of what is live at any time; `RolloutFailed` where its replicas are not all ready in time."""
    try:
        watch(run, lock, WHOLE_WITHIN)
    except RolloutFailed as failed:
        raise RolloutFailed(
            f"{record} is not whole: {failed.happened}",
            "See the pods of the Deployment.",
            details=failed.details,
            fault=failed.fault,
        ) from failed
    return verify_replicas(run, lock, record)


def soak(run: RunContext, lock: EnvironmentLock) -> Soak:
    """Watch restarts and 5xx of every replica for a while, through the API server."""
    cluster = run.cluster(lock.environment)
    patience = Patience(run.say, lock.held.require_held, run.settings.runs.api_patience)
    pods = patience.wait_out(lambda: rollout_watch.new_pod_names(cluster))
    return soaks.soak(
        lambda pod: cluster.metrics(pod, run.settings.app.port),
        lambda: rollout_watch.restarts(cluster),
        pods,
        run.settings.environment(lock.environment).soak,
        say=run.say,
        alive=lock.held.require_held,
        patience=run.settings.runs.api_patience,
    )


def mark_deployed(run: RunContext, lock: EnvironmentLock, record: Record, reason: str) -> Record:
    """The release is good; the one before is closed, and what it alone had is deleted; old records go.

    The hold that it lifts goes first: a release that is good already is not closed again.
    """
    lift_hold_for(run, lock, record)
    good = write_record(run, lock, record.closed("deployed", reason, datetime.now(UTC)))
    close_leftovers(run, lock)
    kept = run.releases(lock.environment)
    notes = kept.notes()
    if notes.mark_of(record.image.digest):
        kept.write_notes(notes.without_mark(record.image.digest), lock.held.fence)
    kept.prune(lock.held.fence)
    return good


def close_leftovers(run: RunContext, lock: EnvironmentLock) -> None:
    """Close what was good before the release in force, and delete what it alone had, where that is to do."""
    cluster = run.cluster(lock.environment)
    kept = Records(cluster)
    history = kept.history()
    if (live := records.live(history)) is None:
        return
    becomes: ReleaseStatus = "rolled_back" if live.is_rollback else "superseded"
    for before in history:
        if before.verdict == "deployed" and before.number != live.number:
            cluster.delete(records.added(before, live), lock.held.fence, run.say)
            why = f"by release {live.number}: {live.reason}"
            closed = before.closed(becomes, why, datetime.now(UTC))
            kept.write(replace(closed, written_by=version.full()), lock.held.fence)


def hold(run: RunContext, lock: EnvironmentLock, by: str, reason: str) -> None:
    """Nothing is released here by itself any more."""
    kept = run.releases(lock.environment)
    notes = kept.notes()
    kept.write_notes(notes.with_hold(Hold(datetime.now(UTC), by, reason)), lock.held.fence)
    run.say(f"{lock.environment} is held: {reason}.")


def lift_hold(run: RunContext, lock: EnvironmentLock, why: str) -> bool:
    """Delete the hold, and return whether there was one."""
    kept = run.releases(lock.environment)
    notes = kept.notes()
    if notes.hold is None:
        return False
    kept.write_notes(notes.without_hold(), lock.held.fence)
    run.say(f"{lock.environment} is no longer {notes.hold.as_text(run.settings.nights.zone)}: {why}.")
    return True


def lift_hold_for(run: RunContext, lock: EnvironmentLock, record: Record) -> None:
    """A person's release of something newer ends the hold that it met, and no later one."""
    hold = run.releases(lock.environment).notes().hold
    if hold is not None and hold.since == record.lifts_hold:
        lift_hold(run, lock, f"{record.asked_by} released {record.content}")


def mark_bad(run: RunContext, lock: EnvironmentLock, record: Record, reason: str) -> None:
    """Remember that this image failed here, so that no night brings it back."""
    kept = run.releases(lock.environment)
    mark = Quarantine(record.image.digest, reason, datetime.now(UTC), run.id)
    kept.write_notes(kept.notes().with_mark(mark), lock.held.fence)
    run.say(f"{record.content} is marked bad in {lock.environment}: {reason}")


def explain(run: RunContext, environment: str) -> str:
    """State, events and last log lines of the pods that are new; "" where they can't be had."""
    cluster = run.cluster(environment)
    try:
        return rollout_watch.explain(cluster, rollout_watch.take(cluster))
    except SlipwayError:  # what has to be undone is undone unexplained
        return ""


def mark_degraded(run: RunContext, lock: EnvironmentLock, record: Record, reason: str) -> bool:
    """Record why a later check failed, or (empty) that one passed; whether that was not recorded yet.

    A degraded release promotes nothing.
    """
    if record.degraded == reason:
        return False
    write_record(run, lock, replace(record, degraded=reason))
    return True


def _have_at_hand(run: RunContext, live: Record) -> bool:
    """Whether the model's manifest of what is live could be had while the registry is there."""
    try:
        run.model_manifest(live.image, live.content.capsule)
    except ImageNotFound as missing:
        run.say(f"{live} could not be proven again, should it have to be put back: {missing.happened}")
        return False
    return True
