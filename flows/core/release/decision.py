"""Whether a release is due: one pure function over all that is known, asked again under the lock."""

from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from flows.core.build.content import BuildContent
from flows.core.build.image import Image
from flows.core.local_time import wall_time
from flows.core.model.manifest import ModelManifest
from flows.core.release import record
from flows.core.release.environment_state import EnvironmentState
from flows.core.release.record import Record


@dataclass(frozen=True)
class Candidate:
    """The image to be released, and what it was made of; `model_created` is the model's time."""

    image: Image
    content: BuildContent
    model_created: datetime
    manifest: ModelManifest = field(repr=False)

    def __str__(self) -> str:
        return str(self.content)

    def of_commit(self, other: BuildContent) -> "Candidate":
        """The same image, chosen for the commit of that content."""
        content = replace(self.content, commit=other.commit, committed=other.committed)
        return replace(self, content=content)


@dataclass(frozen=True)
class Observed:
    """What an environment runs now, as its Deployment says.

    `settled` when its last rollout ended well, whatever became of a replica since; `whole` while all of them
    are ready, and no others are there. `model` is JSON (name, version, digest), or "".
    """

    image: Image
    capsule: str
    commit: str
    model: str
    manifests: str
    replicas: int
    settled: bool
    whole: bool
    ready: int = 0


@dataclass(frozen=True)
class Request:
    """What was asked for: an image by name, or (None) what is to be promoted; by whom and why.

    `by_person` is False for what the clock started, and for its way through all environments. `force`
    overrides every reason not to release.
    """

    environment: str
    image: str | None = "latest"
    reason: str = ""
    asked_by: str = ""
    by_person: bool = True
    force: bool = False


@dataclass(frozen=True)
class Upstream:
    """The environment that another one promotes from, its releases, and the minutes they have to bake."""

    name: str
    history: tuple[Record, ...]
    bake: float


@dataclass(frozen=True)
class EnvironmentSnapshot:
    """What an environment is like at the moment of deciding."""

    live: Observed | None
    history: tuple[Record, ...] = ()
    notes: EnvironmentState = field(default_factory=EnvironmentState)
    upstream: Upstream | None = None


@dataclass(frozen=True)
class Release:
    """The image is to be released, for this reason."""

    reason: str


@dataclass(frozen=True)
class SkipRelease:
    """Nothing is to be released, for this reason."""

    reason: str


@dataclass(frozen=True)
class Refuse:
    """What was asked for can't be done as it was asked."""

    reason: str


Decision = Release | SkipRelease | Refuse


def decide(
    request: Request, candidate: Candidate, manifests: str, situation: EnvironmentSnapshot, now: datetime
) -> Decision:
    """Whether `candidate`, with manifests of that hash, is released over what is live.

    Reasons tell times in the time zone of `now`.
    """
    if request.force and not request.reason.strip():
        return Refuse("force needs a written reason")
    if request.force:
        return Release(f"forced: {request.reason}")
    return (
        _held(request, candidate, situation, now.tzinfo)
        or _bad_before(candidate, situation.notes, now.tzinfo)
        or _live_already(candidate, manifests, situation)
        or _older(candidate, situation, now.tzinfo)
        or _not_promoted(candidate, situation.upstream, now)
        or Release(_why(candidate, manifests, situation))
    )


def lifts_hold(request: Request, candidate: Candidate, history: tuple[Record, ...]) -> bool:
    """Whether a hold gives way: to a person's wish for something newer than all that was released before."""
    newest = max(((r.content.committed, r.model_created) for r in history), default=None)
    newer = newest is None or (candidate.content.committed, candidate.model_created) > newest
    return request.by_person and newer


def hold_lifted(request: Request, candidate: Candidate, situation: EnvironmentSnapshot) -> datetime | None:
    """The time of the hold that ends once the candidate is good here; None where none does."""
    hold = situation.notes.hold
    return hold.since if hold and lifts_hold(request, candidate, situation.history) else None


def _held(
    request: Request, candidate: Candidate, situation: EnvironmentSnapshot, zone: tzinfo | None
) -> SkipRelease | None:
    hold = situation.notes.hold
    if hold is None or lifts_hold(request, candidate, situation.history):
        return None
    return SkipRelease(f"{request.environment} is {hold.as_text(zone)}; `resume` lifts it")


def _bad_before(candidate: Candidate, notes: EnvironmentState, zone: tzinfo | None) -> SkipRelease | None:
    mark = notes.mark_of(candidate.image.digest)
    return (
        SkipRelease(f"{candidate} was bad here on {wall_time(mark.since, zone)}: {mark.reason}")
        if mark
        else None
    )


def _live_already(candidate: Candidate, manifests: str, situation: EnvironmentSnapshot) -> SkipRelease | None:
    recorded = record.live(situation.history)
    live = situation.live
    if live is None or recorded is None or not live.settled:
        return None
    wanted = (candidate.image.digest, manifests)
    if wanted != (live.image.digest, live.manifests) or recorded.image.digest != candidate.image.digest:
        return None
    degraded = f", but degraded: {recorded.degraded}" if recorded.degraded else ""
    return SkipRelease(f"{candidate} is live already, as release {recorded.number}{degraded}")


def _older(candidate: Candidate, situation: EnvironmentSnapshot, zone: tzinfo | None) -> SkipRelease | None:
    recorded = record.live(situation.history)
    if recorded is None or candidate.content.committed >= recorded.content.committed:
        return None
    committed = wall_time(candidate.content.committed, zone)
    return SkipRelease(f"{candidate} of {committed} is older than {recorded.content}, which is live")


def _not_promoted(candidate: Candidate, upstream: Upstream | None, now: datetime) -> SkipRelease | None:
    if upstream is None:
        return None
    ended = [
        r
        for r in record.newest_first(upstream.history)
        if r.image.digest == candidate.image.digest and r.verdict != "pending"
    ]
    in_force = record.live(ended)  # a later one of the same image may have failed by its manifests
    found = in_force or next(iter(ended), None)
    if found is None:
        return SkipRelease(f"{candidate} was not released to {upstream.name} yet")
    if not found.was_good:
        return SkipRelease(f"{candidate} is not good in {upstream.name}: {found.degraded or found.reason}")
    if record.is_rolled_back(found, upstream.history):
        return SkipRelease(f"{candidate} is not good in {upstream.name}: it was rolled back")
    if (baked := found.baked(now)) < upstream.bake:
        return SkipRelease(
            f"{candidate} has been good in {upstream.name} for {baked:.0f} of {upstream.bake:.0f} minutes"
        )
    return None


def _why(candidate: Candidate, manifests: str, situation: EnvironmentSnapshot) -> str:
    live = situation.live
    recorded = record.live(situation.history)
    if live is None:
        return "nothing is live yet"
    if recorded is None:
        return "what is live was never recorded"
    if recorded.image.digest != candidate.image.digest:
        return f"{recorded.content} is live"
    if live.image.digest != candidate.image.digest:
        return "another writer changed what is live"
    if live.manifests != manifests:
        return "the manifests changed"
    return "its last rollout has not ended well"
