"""Whether a release is due: one pure function over all that is known, asked again under the lock."""

from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from flows.core.build.content import BuildContent
from flows.core.build.image import Image
from flows.core.local_time import wall_time
from flows.core.model.manifest import ModelManifest
from flows.core.release import record
from flows.core.release.environment_state import EnvironmentState
from flows.core.release.manifests_source import ManifestsSource, is_same
from flows.core.release.record import Record


@dataclass(frozen=True)
class Candidate:
    """The image to be released, and what it was made of; `model_created` is the model's time.

    `source` is the manifests' folder to release it with. None: it was not looked up, and counts as unchanged.
    `lacking_branch` is the released branch, where it lacks the commit and the environment takes only its
    commits; else "". `forced` says how a person overrode the verdict of its duel, "" where none did.
    """

    image: Image
    content: BuildContent
    model_created: datetime
    manifest: ModelManifest = field(repr=False)
    source: ManifestsSource | None = None
    lacking_branch: str = ""
    forced: str = ""

    def __str__(self) -> str:
        return str(self.content)

    def promoted(self, released: Record) -> "Candidate":
        """The same image, with the commit and the manifests that it was released with elsewhere."""
        of = released.content
        content = replace(self.content, commit=of.commit, committed=of.committed)
        return replace(self, content=content, source=released.source, forced=released.forced)

    def has_manifests_of(self, released: Record) -> bool:
        """Whether that release had the same manifests' folder."""
        return self.source is None or is_same(self.source, released.source)


@dataclass(frozen=True)
class Observed:
    """What an environment runs now, as its Deployment says.

    `settled`: its last rollout ended well, whatever became of a replica since. `whole`: all its replicas are
    ready, and there are no others. `model` is JSON (name, version, digest), or "". `asleep` names what scaled
    it to zero until a request comes, "" where nothing did.
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
    asleep: str = ""


@dataclass(frozen=True)
class Request:
    """What was requested: an image by name, or (None) what is to be promoted; by whom and why.

    `by_person` is False for a scheduled run, and for a run through all environments. `force` overrides every
    reason not to release, but not `only_released`.
    """

    environment: str
    image: str | None = "latest"
    reason: str = ""
    asked_by: str = ""
    by_person: bool = True
    force: bool = False


@dataclass(frozen=True)
class Upstream:
    """The environment that another one promotes from, its releases, and the minutes for which they bake."""

    name: str
    history: tuple[Record, ...]
    bake: float


@dataclass(frozen=True)
class EnvironmentSnapshot:
    """An environment at the moment of the decision: what is live, its records, hold and quarantine."""

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
    """What was requested can't be done in the way it was requested, for this reason."""

    reason: str


Decision = Release | SkipRelease | Refuse


def decide(
    request: Request, candidate: Candidate, manifests: str, snapshot: EnvironmentSnapshot, now: datetime
) -> Decision:
    """Whether `candidate`, with manifests of that hash, is released over what is live.

    Times in the reason are in the time zone of `now`.
    """
    if request.force and not request.reason.strip():
        return Refuse("force needs a written reason")
    if candidate.lacking_branch:
        return _not_on_branch(request, candidate)
    if request.force:
        return Release(f"forced: {request.reason}")
    return (
        _held(request, candidate, snapshot, now.tzinfo)
        or _quarantined(candidate, manifests, snapshot.notes, now.tzinfo)
        or _asleep(request, snapshot)
        or _live_already(candidate, manifests, snapshot)
        or _older(candidate, snapshot, now.tzinfo)
        or _not_promoted(candidate, snapshot.upstream, now)
        or Release(_why(candidate, manifests, snapshot))
    )


def lifts_hold(request: Request, candidate: Candidate, history: tuple[Record, ...]) -> bool:
    """Whether the request lifts a hold: a person asks for something newer than all earlier releases."""
    newest = max(((r.content.committed, r.model_created) for r in history), default=None)
    newer = newest is None or (candidate.content.committed, candidate.model_created) > newest
    return request.by_person and newer


def hold_lifted(request: Request, candidate: Candidate, snapshot: EnvironmentSnapshot) -> datetime | None:
    """The time of the hold that ends once the candidate is deployed here; None where none does."""
    hold = snapshot.notes.hold
    return hold.since if hold and lifts_hold(request, candidate, snapshot.history) else None


def _not_on_branch(request: Request, candidate: Candidate) -> Decision:
    why = (
        f"commit {candidate.content.commit[:7]} is not on {candidate.lacking_branch}, and "
        f"{request.environment} takes only commits of that branch (only_released)"
    )
    return Refuse(why) if request.force else SkipRelease(why)


def _held(
    request: Request, candidate: Candidate, snapshot: EnvironmentSnapshot, zone: tzinfo | None
) -> SkipRelease | None:
    hold = snapshot.notes.hold
    if hold is None or lifts_hold(request, candidate, snapshot.history):
        return None
    return SkipRelease(f"{request.environment} is {hold.as_text(zone)}; `resume` lifts it")


def _quarantined(
    candidate: Candidate, manifests: str, notes: EnvironmentState, zone: tzinfo | None
) -> SkipRelease | None:
    mark = notes.mark_of(candidate.image.digest, manifests)
    if mark is None:
        return None
    these = " with these manifests" if mark.manifests else ""
    return SkipRelease(
        f"{candidate} is quarantined here{these} since {wall_time(mark.since, zone)}: {mark.reason}"
    )


def _asleep(request: Request, snapshot: EnvironmentSnapshot) -> SkipRelease | None:
    """There is no replica to verify, and one that Slipway started would be scaled down again."""
    live = snapshot.live
    if live is None or not live.asleep:
        return None
    return SkipRelease(
        f"{request.environment} is scaled to zero by {live.asleep}: no replica could be verified"
    )


def _live_already(candidate: Candidate, manifests: str, snapshot: EnvironmentSnapshot) -> SkipRelease | None:
    recorded = record.live(snapshot.history)
    live = snapshot.live
    if live is None or recorded is None or not live.settled:
        return None
    wanted = (candidate.image.digest, manifests)
    if wanted != (live.image.digest, live.manifests) or recorded.image.digest != candidate.image.digest:
        return None
    if not candidate.has_manifests_of(recorded):
        return None
    degraded = f", but degraded: {recorded.degraded}" if recorded.degraded else ""
    return SkipRelease(f"{candidate} is live already, as release {recorded.number}{degraded}")


def _older(candidate: Candidate, snapshot: EnvironmentSnapshot, zone: tzinfo | None) -> SkipRelease | None:
    recorded = record.live(snapshot.history)
    if recorded is None or candidate.content.committed >= recorded.content.committed:
        return None
    committed = wall_time(candidate.content.committed, zone)
    return SkipRelease(f"{candidate} of {committed} is older than {recorded.content}, which is live")


def _not_promoted(candidate: Candidate, upstream: Upstream | None, now: datetime) -> SkipRelease | None:
    if upstream is None:
        return None
    found = upstream_release(candidate, upstream.history)
    if found is None:
        return SkipRelease(f"{candidate} was not released to {upstream.name} yet")
    if not candidate.has_manifests_of(found):
        return SkipRelease(f"{candidate} was not released to {upstream.name} with {candidate.source} yet")
    if not found.was_good:
        return SkipRelease(f"{candidate} is not good in {upstream.name}: {found.degraded or found.reason}")
    if record.is_rolled_back(found, upstream.history):
        return SkipRelease(f"{candidate} is not good in {upstream.name}: it was rolled back")
    if (baked := found.baked(now)) < upstream.bake:
        return SkipRelease(
            f"{candidate} has been good in {upstream.name} for {baked:.0f} of {upstream.bake:.0f} minutes"
        )
    return None


def upstream_release(candidate: Candidate, history: tuple[Record, ...]) -> Record | None:
    """The release by which the candidate is good there, or not: one of its image with its manifests.

    Where no release had these manifests, those of the image with others count. The live one comes first: a
    later one of the same image may have failed because of its manifests. Else the newest counts.
    """
    ended = [
        r
        for r in record.newest_first(history)
        if r.image.digest == candidate.image.digest and r.verdict != "pending"
    ]
    same = [r for r in ended if candidate.has_manifests_of(r)] or ended
    return record.live(same) or next(iter(same), None)


def _why(candidate: Candidate, manifests: str, snapshot: EnvironmentSnapshot) -> str:
    live = snapshot.live
    recorded = record.live(snapshot.history)
    if live is None:
        return "nothing is live yet"
    if recorded is None:
        return "what is live was never recorded"
    if recorded.image.digest != candidate.image.digest:
        return f"{recorded.content} is live"
    if live.image.digest != candidate.image.digest:
        return "another writer changed what is live"
    if live.manifests != manifests or not candidate.has_manifests_of(recorded):
        return "the manifests changed"
    return "its last rollout has not ended well"
