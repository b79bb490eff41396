"""Whether a release is due."""

from dataclasses import dataclass

from flows.core.image import Image


@dataclass(frozen=True)
class Live:
    """What an environment runs now, as its Deployment says; `settled` when its last rollout ended well."""

    image: Image
    capsule: str
    commit: str
    model: str
    manifests: str
    replicas: int
    settled: bool


@dataclass(frozen=True)
class Release:
    """The image is to be released, for this reason."""

    reason: str


@dataclass(frozen=True)
class Skip:
    """Nothing is to be released, for this reason."""

    reason: str


def decide(wanted: Image, manifests_hash: str, live: Live | None, *, force: bool) -> Release | Skip:
    """Whether `wanted`, with manifests of that hash, is released over what is live."""
    if live is None:
        return Release("nothing is live yet")
    if force:
        return Release("forced")
    if live.image.digest != wanted.digest:
        return Release(f"{live.image.short} is live")
    if live.manifests != manifests_hash:
        return Release("the manifests changed")
    if not live.settled:
        return Release("its last rollout has not ended well")
    return Skip(f"{wanted.short} is live already")
