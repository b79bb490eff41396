"""What is newer than an environment's live release, and what keeps each from being live, in a sentence."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from flows.core.build.content import Content, ModelVersion, what_changed
from flows.core.explain.candidates import candidates, without_image
from flows.core.explain.status import Away, DeploymentStatus, Place, Seen
from flows.core.night.schedule import NIGHTLY_RELEASE
from flows.core.release import record as records
from flows.core.release.decision import Candidate, EnvironmentSnapshot, Request, SkipRelease, decide
from flows.core.release.manifests_source import ManifestsSource
from flows.core.release.record import Record
from flows.core.trigger.attempts import NOT_THERE_YET, UNAVAILABLE

ENDED_UNAPPROVED = {"Refused", "ApprovalTimedOut"}
"""Names of states in which a release ended because no person approved it."""

CHECK_POLLER = "check that the poller is running"


def waiting(status: DeploymentStatus) -> list[str]:
    """A line for each thing that is newer than what is live, the next to go live first."""
    released_next = [f"{label}: {_reason(status, one)}" for one, label in candidates(status)]
    alone = [f"the manifests {source} (newest): {why}" for source, why in without_image(status)]
    return [*released_next, *alone, *_unbuilt(status), *_pinned(status)]


def waiting_manifests(status: DeploymentStatus) -> tuple[ManifestsSource, str] | None:
    """The manifests that would be released next, and why they are not live; None where none are known."""
    here = status.here
    if isinstance(here.snapshot, Away):
        return None
    for one, _ in candidates(status):
        if one.source and (here.live is None or not one.has_manifests_of(here.live)):
            return one.source, _reason(status, one)
    return next(without_image(status), None)


def _reason(status: DeploymentStatus, candidate: Candidate) -> str:
    """Why the candidate is not live here."""
    here = status.here
    if isinstance(here.snapshot, Away):
        return f"it is in the registry; whether it is live in {here.name} is not known."
    run = _run_of(candidate, status.releases, here.snapshot, status)
    if run and (under_way := _under_way(run)):
        return under_way
    if status.upstream and isinstance(status.upstream.snapshot, Away):
        return f"whether it is good in {status.upstream.name} is not known."
    if (obstacle := _obstacle(here, candidate, status)) is None:
        return f"{_tried(candidate, here.snapshot, run)}{_when(status, here)}."
    upstream = status.upstream
    if upstream is None:
        return f"{obstacle}."
    if there := _under_way_there(status, candidate, upstream):
        return f"{obstacle}; in {upstream.name}: {there}"
    if not _was_released(candidate, upstream):
        there = _obstacle(upstream, candidate, status) or _when(status, upstream)
        return f"{obstacle}; in {upstream.name}: {there}."
    return f"{obstacle}."


def left_open(pending: Record, status: DeploymentStatus) -> str:
    """A sentence about a release that is under way, or was cut off, with the link to its run."""
    address = status.link(pending.run)
    if pending.undoing:
        return f"{pending} is being undone: {pending.undoing.rstrip('.')}. {address}".rstrip()
    since = status.time(pending.started)
    return f"{pending} is under way since {since}, or was cut off. {address}".rstrip()


def _under_way_there(status: DeploymentStatus, candidate: Candidate, upstream: Place) -> str | None:
    """What is under way with the candidate in the environment above; None where nothing is."""
    assert not isinstance(upstream.snapshot, Away), "asked for only where it is known"
    pending = records.pending(upstream.snapshot.history)
    if pending is not None and _is_of(pending, candidate):
        return left_open(pending, status)
    run = _run_of(candidate, status.upstream_releases, upstream.snapshot, status)
    return _under_way(run) if run else None


def _run_of(
    candidate: Candidate,
    runs: Mapping[str, Seen] | Away,
    snapshot: EnvironmentSnapshot,
    status: DeploymentStatus,
) -> Seen | None:
    """The newest run that is to release the image there; None where its release had other manifests."""
    run = None if isinstance(runs, Away) else runs.get(str(candidate))
    if run is None:
        return None
    made = next((record for record in snapshot.history if status.link(record.run) == run.link), None)
    return run if made is None or candidate.has_manifests_of(made) else None


def _is_of(record: Record, candidate: Candidate) -> bool:
    """Whether that release had the same image and manifests."""
    return record.image.digest == candidate.image.digest and candidate.has_manifests_of(record)


def _obstacle(place: Place, candidate: Candidate, status: DeploymentStatus) -> str | None:
    """Why a night would skip the candidate; None where it would release it."""
    assert not isinstance(place.snapshot, Away), "asked for only where it is known"
    manifests = _manifests(candidate, place.snapshot)
    request = Request(place.name, by_person=False)
    decision = decide(request, candidate, manifests, place.snapshot, status.now)
    return decision.reason.removeprefix(f"{candidate} ") if isinstance(decision, SkipRelease) else None


def _manifests(candidate: Candidate, snapshot: EnvironmentSnapshot) -> str:
    """The hash of the manifests that the candidate would be released with, as far as it is known.

    It is that of an earlier release here with the same image and manifests, "" where the image was released
    with others alone. Without such a record, it is the hash with which the image failed, because it is not
    known whether the manifests have changed since; else the hash of those that are live.
    """
    known = [
        record
        for record in records.newest_first(snapshot.history)
        if record.image.digest == candidate.image.digest and record.source
    ]
    if candidate.source and known:
        return next((record.manifests for record in known if candidate.has_manifests_of(record)), "")
    marks = (mark for mark in snapshot.notes.marks if mark.digest == candidate.image.digest)
    live = snapshot.live.manifests if snapshot.live else ""
    return next((mark.manifests for mark in marks if mark.manifests), live)


def _was_released(candidate: Candidate, place: Place) -> bool:
    assert not isinstance(place.snapshot, Away), "asked for only where it is known"
    history = place.snapshot.history
    return any(_is_of(record, candidate) and record.verdict != "pending" for record in history)


def _under_way(run: Seen) -> str | None:
    match run.state:
        case "PAUSED":
            return f"it waits for a person's approval. {run.link}"
        case "RUNNING":
            return f"it is being released. {run.link}"
        case "SCHEDULED" | "PENDING":
            return f"its release waits for a worker. {run.link}"
    return None


def _tried(candidate: Candidate, snapshot: EnvironmentSnapshot, run: Seen | None) -> str:
    """How the last try to release it here ended, if there was one."""
    if run and run.state_name in ENDED_UNAPPROVED:
        return f"{run.message.rstrip('.')} ({run.link}); "
    tries = [r for r in records.newest_first(snapshot.history) if _is_of(r, candidate)]
    if tries and tries[0].verdict == "rolled_back":
        return f"it was rolled back as release {tries[0].number}, {tries[0].reason.rstrip('.')}; "
    if run and run.state == "FAILED":
        return f"its release failed, {run.message.rstrip('.')} ({run.link}); "
    return ""


def _when(status: DeploymentStatus, place: Place) -> str:
    """When the next night releases it."""
    if isinstance(status.night, Away):
        return "it comes with the next night"
    if status.night is None:
        return f"no night is due: ops, check that the schedule of {NIGHTLY_RELEASE} is active"
    asks = ", and asks for approval then" if place.approval else ""
    due = status.time(status.night)
    if status.night < status.now:
        return (
            f"its night was due at {due}, and no worker has taken it up yet: "
            "ops, look at worker and queues at Work Pools"
        )
    return f"it is not yet night: it comes at {due}{asks}"


def _unbuilt(status: DeploymentStatus) -> list[str]:
    """A line about the newest commit with today's model and base image, if no image is made of them yet."""
    base = status.latest if isinstance(status.latest, Candidate) else None
    deployed = status.here.live if isinstance(status.latest, Away) else None
    made = base or deployed
    known = made.content if made else None
    wanted = _wanted(status, known)
    if wanted is None or (known is not None and _same(known, wanted)):
        return []
    since = f", {what_changed(known, wanted)}" if known else ""
    newer_base_alone = known is not None and _same(known, replace(wanted, base_digest=known.base_digest))
    return [f"{wanted} (newest{since}): {_build(status, newer_base_alone=newer_base_alone)}"]


def _wanted(status: DeploymentStatus, known: Content | None) -> Content | None:
    """What an image would be made of now; what is not known is taken to be unchanged."""
    store, head = status.store, status.head
    if isinstance(head, Away) and isinstance(store, Away):
        return None
    before = known or Content("unknown", ModelVersion("unknown", "model", ""))
    commit = before.commit if isinstance(head, Away) else head
    if isinstance(store, Away):
        model = before.model
    else:
        seen = store.wanted
        digest = seen.identity if seen.settled else before.model.digest
        model = ModelVersion(seen.name, seen.version, digest)
    base = before.base_digest
    if base and not isinstance(status.base, Away):  # an unknown base image can't be compared
        base = status.base
    return Content(commit, model, base_digest=base)


def _same(known: Content, wanted: Content) -> bool:
    return wanted == Content(known.commit, known.model, base_digest=known.base_digest)


def _build(status: DeploymentStatus, *, newer_base_alone: bool) -> str:
    """What the newest run of ci for it does, or how it ended."""
    run = status.build
    is_seen = not isinstance(status.latest, Away)
    if isinstance(run, Away):
        return f"{'it is not built yet; ' if is_seen else ''}what ci makes of it is not known."
    if run is None:
        not_built = "it is not built, and " if is_seen else ""
        looks = "the poller looks at the base image once an hour" if newer_base_alone else CHECK_POLLER
        return f"{not_built}no run of ci was started for it yet; {looks}."
    said = run.message.rstrip(".")
    match run.state:
        case "RUNNING":
            state = "it is being built"
        case "SCHEDULED" | "PENDING":
            state = "its run of ci waits for its turn"
        case "COMPLETED":
            state = f"it was built{', and latest does not name it' if is_seen else ''}: {said}"
        case "FAILED":
            state = f"its run of ci failed: {said}"
        case "CRASHED" if run.state_name in {UNAVAILABLE, NOT_THERE_YET}:
            state = f"its run of ci is tried again later: {said}"
        case "CRASHED":
            state = f"its run of ci crashed: {said}"
        case _:
            state = f"its run of ci was cancelled: {said}"
    return f"{state}. {run.link}"


def _pinned(status: DeploymentStatus) -> list[str]:
    store = status.store
    if isinstance(store, Away) or store.pin is None or store.pin.version == store.newest:
        return []
    since = status.time(datetime.fromisoformat(store.pin.since))
    return [
        f"{store.wanted.name} {store.newest}: version {store.pin.version} is pinned since {since}; "
        "a run of ci with model=newest lifts that."
    ]
