"""The stages from a decision to a release that is live and verified."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

from flows.config import version
from flows.core.errors import (
    EdgeNotInOrder,
    ImageNotFound,
    ResolverUnavailable,
    RolloutFailed,
    SlipwayError,
    TransientError,
)
from flows.core.release import record as records
from flows.core.release.decision import EnvironmentSnapshot, Observed, Upstream, hold_lifted
from flows.core.release.degraded import degraded_by
from flows.core.release.endpoint import is_whole, stops_release
from flows.core.release.environment_state import Hold, Quarantine
from flows.core.release.found import created, found, given_back, to_look_for
from flows.core.release.kinds import autoscalers, without_jobs
from flows.core.release.record import Object, Record, ReleaseStatus
from flows.core.rollout.snapshot import CONTAINER
from flows.core.rollout.verdict import Done
from flows.core.verification.error_rate import UNKNOWN, Outgoing
from flows.services.kubernetes import rollout_watch
from flows.services.kubernetes.release_store import Records
from flows.services.process.patience import Patience
from flows.services.verification import awaiting, verification
from flows.services.verification import soak as soaks
from flows.services.verification.soak import Soak
from flows.services.verification.tls import EXPIRES_SOON
from flows.services.verification.verification import Latency, Proof
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock
from flows.stages.resolve_image import Plan

ROUNDS = 3
"""How often each of the model's examples is sent to the outgoing release, to compare answer times."""

LATELY = 5.0
"""Seconds for which the outgoing release's 5xx are counted; a quarter of the soak, if that is less."""


def check_fence(run: RunContext, environment: str) -> None:
    """Require that the server enforces the lock, and that the bootstrap's objects are of this version; else
    `ClusterNotPrepared`.

    It is called before the lock is taken and before anything is changed.
    """
    cluster = run.cluster(environment)
    cluster.require_namespace()
    cluster.require_fence()
    cluster.require_edition(version.cluster_edition())


def claim_objects(run: RunContext, lock: EnvironmentLock) -> None:
    """Write this run's fence on all recorded objects, so that the server refuses deletes of an earlier run.

    `ClusterNotPrepared`, before any write, where the cluster would run a pod with any image.
    """
    cluster, fence = run.cluster(lock.environment), lock.held.fence
    run.say(f"This run holds the lock of {lock.environment}, as {fence}.")
    cluster.await_fence(fence)
    cluster.require_pod_policy(fence)
    known = {records.identity(item): item for r in Records(cluster).history() for item in r.objects}
    cluster.stamp(tuple(known.values()), fence, run.say)


def observe(run: RunContext, environment: str) -> EnvironmentSnapshot:
    """What is live, the records, the hold, the quarantine, and what the environment promotes from."""
    wanted = run.settings.environment(environment)
    cluster = run.cluster(environment)
    cluster.require_namespace()
    upstream = None
    if wanted.promotes_from is not None:
        history = tuple(run.releases(wanted.promotes_from).history())
        upstream = Upstream(wanted.promotes_from, history, wanted.bake)
    kept = Records(cluster)
    return EnvironmentSnapshot(cluster.live(), tuple(kept.history()), kept.notes(), upstream)


def find_pending(run: RunContext, environment: str) -> Record | None:
    """The release that is under way, or was cut off; None where there is none."""
    return records.pending(run.releases(environment).history())


def check_endpoint(
    run: RunContext,
    environment: str,
    live: Observed | None,
    *,
    is_rollback: bool = False,
    valid_for: timedelta = EXPIRES_SOON,
) -> None:
    """Require, before anything changes, that DNS, load balancer and certificate are in order, except for what
    the release may mend: a load balancer accepts nothing while there is no replica."""
    endpoint, reported = run.edge(environment), run.cluster(environment).service_addresses()
    if live is None and not is_rollback and not (endpoint.load_balancer or reported):
        # a DNS server that is asked too early caches for minutes that there is no such name
        run.say(f"{endpoint.url} has no load balancer yet: it is checked after the rollout.")
        return
    try:
        endpoint.require_in_order(reported, run.say, valid_for=valid_for)
    except (EdgeNotInOrder, ResolverUnavailable) as problem:
        finding = problem.finding if isinstance(problem, EdgeNotInOrder) else "unresolved"
        if stops_release(finding, live, is_rollback=is_rollback):
            raise
        run.say(f"{problem.happened} The release may mend that: it is checked again after the rollout.")


def verify_endpoint(run: RunContext, environment: str) -> None:
    """Require that DNS, load balancer and certificate are in order."""
    reported = run.cluster(environment).service_addresses()
    run.edge(environment).require_in_order(reported, run.say)


def await_endpoint(run: RunContext, lock: EnvironmentLock, *, replica: bool = False) -> None:
    """Wait until the endpoint accepts connections; with `replica`, until one of the replicas answers there.

    A load balancer that a release creates gets its address and its name minutes later.
    """
    awaiting.await_endpoint(
        run.edge(lock.environment),
        run.cluster(lock.environment).service_addresses,
        run.settings.environment(lock.environment).endpoint_timeout,
        run.say,
        lock.held.require_held,
        replica=replica,
    )


def find_examples(run: RunContext, record: Record, live: Record | None) -> None:
    """Read the model's manifests of the release and of what is live, which a verification and an undo need;
    `ImageNotFound` where the registry lost the release's."""
    run.model_manifest(record.image, record.content.capsule)
    if live is not None:
        _have_at_hand(run, live)


def measure_outgoing(run: RunContext, environment: str, snapshot: EnvironmentSnapshot) -> Latency | None:
    """How quickly what is live answers its model's examples; None if nothing is live, or replicas are down.

    Its examples are then known, in case an undo has to verify it.
    """
    live = records.live(snapshot.history)
    if live is None or not _have_at_hand(run, live) or not is_whole(snapshot.live):
        return None
    latency = verification.measure(
        run.edge(environment), run.model_manifest(live.image, live.content.capsule), ROUNDS
    )
    run.say(f"The outgoing release answers an example in {latency}.")
    return latency


def find_before(run: RunContext, environment: str, objects: tuple[Object, ...]) -> tuple[Object, ...]:
    """The objects that a release finds in its place, and that an undo of it restores."""
    cluster = run.cluster(environment)
    live = records.live(Records(cluster).history())
    there = cluster.found(to_look_for(objects, live))
    for item in there:
        run.say(f"{item['kind']} {item['metadata']['name']} is there already: an undo puts it back.")
    return found(objects, live, there)


def record_release(
    run: RunContext, lock: EnvironmentLock, plan: Plan, snapshot: EnvironmentSnapshot
) -> Record:
    """Record the release before it is applied."""
    request, candidate, content = plan.request, plan.candidate, plan.candidate.content
    number = records.next_number(snapshot.history)
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
        lifts_hold=hold_lifted(request, candidate, snapshot),
        source=candidate.source,
        forced=candidate.forced,
        before=find_before(run, lock.environment, plan.manifests.objects),
    )
    return write_record(run, lock, record)


def write_record(run: RunContext, lock: EnvironmentLock, record: Record) -> Record:
    """Put the record into the cluster, with this Slipway as its writer."""
    record = replace(record, written_by=version.full())
    run.releases(lock.environment).write(record, lock.held.fence)
    run.say(f"Recorded {record} in {lock.environment}: {record.ending}.")
    return record


def check_manifests(run: RunContext, lock: EnvironmentLock, plan: Plan) -> None:
    """Have the server check all objects in a dry run; `ManifestsRejected` says what it refuses.

    It is called before the release is recorded: so an object that the server refuses, or a field that another
    manager owns, needs no undo.
    """
    run.cluster(lock.environment).check(plan.manifests.objects, lock.held.fence)


def apply_manifests(run: RunContext, lock: EnvironmentLock, record: Record) -> None:
    """Apply all objects of the record, or none if the server would refuse one.

    Autoscalers that the record lacks are deleted first. A rollback also overwrites fields that a person has
    set by hand since, and restores what the release that it undoes had found. Its Jobs are not applied: they
    ran when it was released first.
    """
    lock.held.require_held()
    cluster, fence = run.cluster(lock.environment), lock.held.fence
    live = records.live(Records(cluster).history())
    if live is not None:  # while an autoscaler is there, `apply` leaves the replicas to it
        cluster.delete(autoscalers(created(live, record)), fence, run.say)
    back = given_back(live, record) if live and record.is_rollback else ()
    objects = without_jobs([*record.objects, *back]) if record.is_rollback else record.objects
    cluster.apply(objects, fence, run.say, by_force=record.is_rollback)


def watch_rollout(run: RunContext, lock: EnvironmentLock, record: Record) -> Done:
    """Wait until all replicas are new and ready and no old one is left; errors as of `rollout_watch.watch`.

    Jobs are waited for when their release is new, but not in a rollback, an undo or a later check.
    """
    wanted = run.settings.environment(lock.environment)
    is_first = record.verdict == "pending" and not record.is_rollback
    return rollout_watch.watch(
        run.cluster(lock.environment),
        wanted.rollout_timeout,
        run.say,
        lock.held.require_held,
        objects=record.objects if is_first else without_jobs(record.objects),
        room_within=wanted.rollout_patience,
        patience=run.settings.runs.api_patience,
    )


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
        look=lambda: rollout_watch.look(cluster),
        patience=run.settings.runs.api_patience,
    )


def require_whole(run: RunContext, lock: EnvironmentLock, record: Record) -> None:
    """Require that all replicas of what is live get ready in the time of a rollout; else `RolloutFailed`."""
    try:
        watch_rollout(run, lock, record)
    except RolloutFailed as failed:
        raise RolloutFailed(
            f"{record} is not whole: {failed.happened}",
            "Read pod states and events in the run's report.",
            details=failed.details,
            fault=failed.fault,
        ) from failed


def count_outgoing(run: RunContext, lock: EnvironmentLock) -> Outgoing:
    """The answers of the live replicas, so far and for a few seconds, before a release is applied.

    `UNKNOWN` where nothing is live, or the cluster is away. A release of what is live already leaves the
    replicas running, and is compared with what they answered before.
    """
    soaked = run.settings.environment(lock.environment).soak
    cluster = run.cluster(lock.environment)
    try:
        if not soaked or cluster.live() is None:
            return UNKNOWN
        pods = rollout_watch.look(cluster).names
        outgoing = soaks.count_outgoing(_metrics(run, lock.environment), pods, min(LATELY, soaked / 4))
    except (TransientError, RolloutFailed) as problem:
        run.say(f"The 5xx of the outgoing release could not be counted: {problem.happened}")
        return UNKNOWN
    run.say(f"5xx: {outgoing}; {100 * outgoing.tolerated:.2g} % is tolerated of the next one.")
    return outgoing


def soak(run: RunContext, lock: EnvironmentLock, before: Outgoing = UNKNOWN) -> Soak:
    """Watch restarts and 5xx of every replica for a while, through the API server."""
    cluster = run.cluster(lock.environment)
    return soaks.soak(
        _metrics(run, lock.environment),
        lambda: rollout_watch.look(cluster),
        run.settings.environment(lock.environment).soak,
        before=before,
        say=run.say,
        alive=lock.held.require_held,
        patience=run.settings.runs.api_patience,
    )


def _metrics(run: RunContext, environment: str) -> Callable[[str], str]:
    """A function that reads a pod's metrics."""
    cluster, port = run.cluster(environment), run.settings.app.probed_at
    return lambda pod: cluster.metrics(pod, port)


def mark_deployed(run: RunContext, lock: EnvironmentLock, record: Record, reason: str) -> Record:
    """Record the release as deployed, close the one before, and delete what only that had made.

    Also delete the image's quarantine marks for these manifests, and old records. The hold is lifted first:
    after a kill, a release that is recorded as deployed is not closed again.
    """
    lift_hold_for(run, lock, record)
    good = write_record(run, lock, record.closed("deployed", reason, datetime.now(UTC)))
    close_leftovers(run, lock)
    kept = run.releases(lock.environment)
    notes = kept.notes()
    if notes.mark_of(record.image.digest, record.manifests):
        disproved = notes.without_mark(record.image.digest, record.manifests)
        kept.write_notes(disproved, lock.held.fence)
    kept.prune(lock.held.fence)
    return good


def close_leftovers(run: RunContext, lock: EnvironmentLock) -> None:
    """Close the releases that were deployed before the live one, and delete what only they had made."""
    cluster = run.cluster(lock.environment)
    kept = Records(cluster)
    history = kept.history()
    if (live := records.live(history)) is None:
        return
    becomes: ReleaseStatus = "rolled_back" if live.is_rollback else "superseded"
    for before in history:
        if before.verdict == "deployed" and before.number != live.number:
            cluster.delete(created(before, live), lock.held.fence, run.say)
            why = f"by release {live.number}: {live.reason}"
            closed = before.closed(becomes, why, datetime.now(UTC))
            kept.write(replace(closed, written_by=version.full()), lock.held.fence)


def hold(run: RunContext, lock: EnvironmentLock, by: str, reason: str) -> None:
    """Hold the environment: no night releases to it any more."""
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
    """Lift the hold that the release was to lift when it was decided, but no later hold."""
    hold = run.releases(lock.environment).notes().hold
    if hold is not None and hold.since == record.lifts_hold:
        lift_hold(run, lock, f"{record.asked_by} released {record.content}")


def quarantine(run: RunContext, lock: EnvironmentLock, record: Record, reason: str) -> None:
    """Quarantine the release's image, so that no night releases it again.

    An image that answered wrong is quarantined with any manifests. One that did not start, or crashed, is
    quarantined only with these manifests, which may be the cause.
    """
    kept = run.releases(lock.environment)
    manifests = "" if record.answered_wrong else record.manifests
    mark = Quarantine(record.image.digest, reason, datetime.now(UTC), run.id, manifests)
    kept.write_notes(kept.notes().with_mark(mark), lock.held.fence)
    run.say(f"{record.content} is quarantined in {lock.environment}: {reason}")


def explain(run: RunContext, environment: str) -> str:
    """State, events and last log lines of the new pods; "" where they can't be read."""
    cluster = run.cluster(environment)
    try:
        return rollout_watch.explain(cluster, rollout_watch.take(cluster))
    except SlipwayError:  # the undo that follows matters more than its explanation
        return ""


def mark_degraded(
    run: RunContext, lock: EnvironmentLock, record: Record, failure: SlipwayError | None
) -> bool:
    """Record why a later check failed, or (None) that one passed; whether the record changed.

    A degraded release promotes nothing. If only the infrastructure failed, the record does not change.
    """
    reason = "" if failure is None else degraded_by(failure, run.cluster(lock.environment).live())
    if failure is not None and not reason:
        verdict = "degraded" if record.degraded else "good"
        run.say(f"{record} stays {verdict}: the infrastructure is at fault.")
        return False
    if record.degraded == reason:
        return False
    write_record(run, lock, replace(record, degraded=reason))
    return True


def _have_at_hand(run: RunContext, live: Record) -> bool:
    """Whether the registry has the model's manifest of what is live; the run then keeps it."""
    try:
        run.model_manifest(live.image, live.content.capsule)
    except ImageNotFound as missing:
        run.say(f"{live} could not be verified after an undo: {missing.happened}")
        return False
    return True
