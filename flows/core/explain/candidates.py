"""What could be released to an environment next: images and manifests that exist and are not live."""

from collections.abc import Iterator
from dataclasses import replace

from flows.core.explain.status import DeploymentStatus
from flows.core.release.decision import Candidate
from flows.core.release.manifests_source import ManifestsSource, is_same
from flows.core.release.record import Record


def candidates(status: DeploymentStatus) -> Iterator[tuple[Candidate, str]]:
    """The candidates that are not live, each with its label: the one that would be promoted next, then the
    image that `latest` names with the newest manifests."""
    live = status.here.live
    promotable, latest = status.promotable, status.latest
    since = live.content.committed if live else None
    promoted = None
    if isinstance(promotable, Candidate) and (since is None or promotable.content.committed >= since):
        assert status.upstream, "an image is promoted from somewhere"
        if not _is_live(promotable, live):
            promoted = promotable
            yield promoted, _label(promoted, f"good in {status.upstream.name}", live)
    if not isinstance(latest, Candidate):
        return
    if isinstance(status.manifests, ManifestsSource):
        latest = replace(latest, source=status.manifests)
    if not _is_live(latest, live) and not (promoted and _is_same_release(latest, promoted)):
        yield latest, _label(latest, "latest", live)


def _is_live(candidate: Candidate, live: Record | None) -> bool:
    if live is None or live.image.digest != candidate.image.digest:
        return False
    return candidate.has_manifests_of(live)


def _is_same_release(one: Candidate, other: Candidate) -> bool:
    has_same_manifests = one.source is None or is_same(one.source, other.source)
    return one.image.digest == other.image.digest and has_same_manifests


def _label(candidate: Candidate, place: str, live: Record | None) -> str:
    if live is None or candidate.has_manifests_of(live):
        return f"{candidate} ({place})"
    known_as = "live" if candidate.image.digest == live.image.digest else place
    return f"{candidate} ({known_as}) with the manifests {candidate.source}"


def without_image(status: DeploymentStatus) -> Iterator[tuple[ManifestsSource, str]]:
    """The newest manifests where no image is known to release them with, and why they wait."""
    live, newest = status.here.live, status.manifests
    if live is None or isinstance(status.latest, Candidate) or not isinstance(newest, ManifestsSource):
        return
    if not is_same(newest, live.source):
        known = "there is no image" if status.latest is None else "it is not known which image there is"
        yield newest, f"{known} to release them with."
