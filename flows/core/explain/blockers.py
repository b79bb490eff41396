"""What is newer than an environment's live release, and what keeps each from being live, in a sentence."""

from collections.abc import Iterator
from datetime import datetime

from flows.core.build.content import Content, ModelVersion, what_changed
from flows.core.explain.status import Away, DeploymentStatus, Place, Seen
from flows.core.night.schedule import NIGHTLY_RELEASE
from flows.core.release import record as records
from flows.core.release.decision import Candidate, EnvironmentSnapshot, Request, SkipRelease, decide
from flows.core.release.record import Record

ENDED_UNASKED = {"Refused", "ApprovalTimedOut"}
"""Names of states in which a release ended for want of a person's word."""


def waiting(standing: DeploymentStatus) -> list[str]:
    """A line for each thing that is newer, the next to go live first."""
    candidates = [f"{label}: {_reason(standing, one)}" for one, label in _candidates(standing)]
    return [*candidates, *_unbuilt(standing), *_pinned(standing)]


def _candidates(standing: DeploymentStatus) -> Iterator[tuple[Candidate, str]]:
    """The images that are there and not live: what would be promoted next, then what `latest` names."""
    live = standing.here.live
    seen = {live.image.digest} if live else set()
    promotable, latest = standing.promotable, standing.latest
    since = live.content.committed if live else None
    if isinstance(promotable, Candidate) and (since is None or promotable.content.committed >= since):
        assert standing.upstream, "an image is promoted from somewhere"
        if promotable.image.digest not in seen:
            yield promotable, f"{promotable} (good in {standing.upstream.name})"
            seen.add(promotable.image.digest)
    if isinstance(latest, Candidate) and latest.image.digest not in seen:
        yield latest, f"{latest} (latest)"


def _reason(standing: DeploymentStatus, candidate: Candidate) -> str:
    """Why it is not live here."""
    here = standing.here
    if isinstance(here.situation, Away):
        return f"it is in the registry; whether it is live in {here.name} is not known."
    run = None if isinstance(standing.releases, Away) else standing.releases.get(str(candidate))
    if run and (under_way := _under_way(run)):
        return under_way
    if standing.upstream and isinstance(standing.upstream.situation, Away):
        return f"whether it is good in {standing.upstream.name} is not known."
    if (obstacle := _obstacle(here, candidate, standing)) is None:
        return f"{_tried(candidate, here.situation, run)}{_when(standing, here)}."
    upstream = standing.upstream
    if upstream is None:
        return f"{obstacle}."
    if there := _under_way_there(standing, candidate, upstream):
        return f"{obstacle}; in {upstream.name}: {there}"
    if not _was_released(candidate, upstream):
        there = _obstacle(upstream, candidate, standing) or _when(standing, upstream)
        return f"{obstacle}; in {upstream.name}: {there}."
    return f"{obstacle}."


def left_open(pending: Record, standing: DeploymentStatus) -> str:
    """A release that is under way, or was cut off, and where a person sees its run."""
    address = standing.link(pending.run)
    if pending.undoing:
        return f"{pending} is being undone: {pending.undoing} {address}".rstrip()
    since = standing.time(pending.started)
    return f"{pending} is under way since {since}, or was cut off. {address}".rstrip()


def _under_way_there(standing: DeploymentStatus, candidate: Candidate, upstream: Place) -> str | None:
    """What goes on with it where it has to be good before, if anything does."""
    assert not isinstance(upstream.situation, Away), "asked for only where it is known"
    pending = records.pending(upstream.situation.history)
    if pending is not None and pending.image.digest == candidate.image.digest:
        return left_open(pending, standing)
    seen = standing.upstream_releases
    run = None if isinstance(seen, Away) else seen.get(str(candidate))
    return _under_way(run) if run else None


def _obstacle(place: Place, candidate: Candidate, standing: DeploymentStatus) -> str | None:
    """What the night would skip it for, or None."""
    assert not isinstance(place.situation, Away), "asked for only where it is known"
    manifests = place.situation.live.manifests if place.situation.live else ""
    request = Request(place.name, by_person=False)
    decision = decide(request, candidate, manifests, place.situation, standing.now)
    return decision.reason.removeprefix(f"{candidate} ") if isinstance(decision, SkipRelease) else None


def _was_released(candidate: Candidate, place: Place) -> bool:
    assert not isinstance(place.situation, Away), "asked for only where it is known"
    history = place.situation.history
    return any(r.image.digest == candidate.image.digest and r.verdict != "pending" for r in history)


def _under_way(run: Seen) -> str | None:
    match run.state:
        case "PAUSED":
            return f"it waits for a person's approval. {run.link}"
        case "RUNNING":
            return f"it is being released. {run.link}"
        case "SCHEDULED" | "PENDING":
            return f"its release waits for a worker. {run.link}"
    return None


def _tried(candidate: Candidate, situation: EnvironmentSnapshot, run: Seen | None) -> str:
    """How the last try to release it here ended, if there was one."""
    if run and run.state_name in ENDED_UNASKED:
        return f"{run.message.rstrip('.')} ({run.link}); "
    tries = [r for r in records.newest_first(situation.history) if r.image.digest == candidate.image.digest]
    if tries and tries[0].verdict == "rolled_back":
        return f"it was rolled back as release {tries[0].number}, {tries[0].reason.rstrip('.')}; "
    if run and run.state == "FAILED":
        return f"its release failed, {run.message.rstrip('.')} ({run.link}); "
    return ""


def _when(standing: DeploymentStatus, place: Place) -> str:
    """When it comes by itself."""
    if isinstance(standing.night, Away):
        return "it comes with the next night"
    if standing.night is None:
        return f"no night is due: is the schedule of {NIGHTLY_RELEASE} paused?"
    asks = ", and asks for approval then" if place.approval else ""
    due = standing.time(standing.night)
    if standing.night < standing.now:
        return (
            f"its night was due at {due}, and no worker has taken it up yet: "
            "ops, look at worker and queues at Work Pools"
        )
    return f"it is not yet night: it comes at {due}{asks}"


def _unbuilt(standing: DeploymentStatus) -> list[str]:
    """The newest commit with the wanted model, where no image that counts is made of them."""
    base = standing.latest if isinstance(standing.latest, Candidate) else None
    deployed = standing.here.live if isinstance(standing.latest, Away) else None
    made = base or deployed
    known = made.content if made else None
    wanted = _wanted(standing, known)
    if wanted is None or (known is not None and _same(known, wanted)):
        return []
    since = f", {what_changed(known, wanted)}" if known else ""
    return [f"{wanted} (newest{since}): {_build(standing)}"]


def _wanted(standing: DeploymentStatus, known: Content | None) -> Content | None:
    """What an image would be made of now; what is not known of it is taken to be as it was."""
    store, head = standing.store, standing.head
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
    return Content(commit, model)


def _same(known: Content, wanted: Content) -> bool:
    return wanted == Content(known.commit, known.model)


def _build(standing: DeploymentStatus) -> str:
    """How far ci has come with it."""
    run = standing.build
    is_seen = not isinstance(standing.latest, Away)
    if isinstance(run, Away):
        return f"{'it is not built yet; ' if is_seen else ''}what ci makes of it is not known."
    if run is None:
        not_built = "it is not built, and " if is_seen else ""
        return f"{not_built}no run of ci was started for it yet; check that the poller is running."
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
        case "CRASHED":
            state = f"its run of ci crashed: {said}"
        case _:
            state = f"its run of ci was cancelled: {said}"
    return f"{state}. {run.link}"


def _pinned(standing: DeploymentStatus) -> list[str]:
    store = standing.store
    if isinstance(store, Away) or store.pin is None or store.pin.version == store.newest:
        return []
    since = standing.time(datetime.fromisoformat(store.pin.since))
    return [
        f"{store.wanted.name} {store.newest}: version {store.pin.version} is pinned since {since}; "
        "a run of ci with model=newest lifts that."
    ]
