"""Which images may be deleted: old ones that nothing names.

An image stays if a release record, a quarantine mark, `latest` or a running replica names it. A quarantined
image, too: built again, it would have another digest, which no mark stops.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.core.build.capsule import ATTACHED, capsule_of, half_of
from flows.core.build.image import RUN_TAG
from flows.core.build.trust import Trust


@dataclass(frozen=True)
class Named:
    """Images that something names, by manifest digest and by capsule: they stay, however old."""

    digests: frozenset[str] = frozenset()
    capsules: frozenset[str] = frozenset()

    def __or__(self, other: "Named") -> "Named":
        return Named(self.digests | other.digests, self.capsules | other.capsules)


@dataclass(frozen=True)
class Tagged:
    """A tag of the registry and its manifest's digest.

    `created`: when the image, or half of one, was built or pushed, None where the tag is of neither.
    `halves`: what the image is made of, by the halves' tags without a level of trust.
    """

    tag: str
    digest: str
    created: datetime | None = None
    halves: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Untagged:
    """An image that was put into the registry without a tag: in which run, and when."""

    digest: str
    run: str
    since: datetime


@dataclass(frozen=True)
class LocalImage:
    """An image on the engine: all its names, the digests it has in registries, and when it was built or last
    given a name."""

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    created: datetime


@dataclass(frozen=True)
class Freed:
    """What was removed, and how many bytes that freed (None: unknown)."""

    what: str
    count: int
    size: int | None = 0

    def __str__(self) -> str:
        freed = "" if self.size is None or not self.count else f", {self.size / 1e6:.1f} MB"
        return f"{self.count}{freed}"

    def __add__(self, more: "Freed") -> "Freed":
        sizes = (self.size, more.size)
        return Freed(self.what, self.count + more.count, None if None in sizes else sum(filter(None, sizes)))


def removable_manifests(tags: Sequence[Tagged], named: Named, before: datetime, newest: int) -> list[Tagged]:
    """The tags whose manifests may be deleted: images built before that time, with what is attached to them,
    and halves that were built before it.

    These stay:

    - the `newest` images of each level of trust, so that images of branches push out no released ones
    - tags that are not made from a capsule, such as `latest`
    - a manifest of which one tag stays: deleting it would delete all its tags
    - what is attached to no image: its image may be on its way
    - a half that an image names which stays
    """
    images = [one for one in tags if capsule_of(one.tag) and one.created is not None]
    youngest = [one for level in Trust for one in _youngest(images, level, before)[:newest]]
    going = {
        one.tag
        for one in images
        if one.created and one.created < before and not _is_named(one, named) and one not in youngest
    }
    needed = frozenset[str]().union(*(one.halves for one in images if one.tag not in going))
    going |= {f"{tag}{ATTACHED}" for tag in going}
    going |= {
        one.tag
        for one in tags
        if one.created and one.created < before and (half := half_of(one.tag)) and half not in needed
    }
    staying = {one.digest for one in tags if one.tag not in going}
    return [one for one in tags if one.digest not in staying]


def removable_untagged(
    noted: Iterable[Untagged], tags: Iterable[Tagged], named: Named, before: datetime
) -> list[Untagged]:
    """The noted images that may be deleted: put before that time, without a tag since, and named by nothing.

    Deleting an image deletes its tags, and an image that is composed again has the same digest. So none goes
    that any tag, record, quarantine mark, pod or index names.
    """
    kept = named.digests | {one.digest for one in tags}
    return [one for one in noted if one.since < before and one.digest not in kept]


def first_images(going: Sequence[Tagged], most: int) -> list[Tagged]:
    """Those that can be deleted with the first `most` images; what several share goes with the last."""
    later = set([one.tag for one in going if capsule_of(one.tag)][most:])
    needed = {one.digest for one in going if one.tag.removesuffix(ATTACHED) in later}
    return [one for one in going if one.digest not in needed]


def removable_names(
    images: Iterable[LocalImage], repository: str, named: Named, before: datetime
) -> list[str]:
    """The names that may be removed of the project's images, and of its test stages, on an engine."""
    return [
        name
        for image in images
        if image.created < before and named.digests.isdisjoint(image.digests)
        for name in image.names
        if _is_ours(name, repository, named)
    ]


def surplus_names(images: Sequence[LocalImage], repository: str, newest: int) -> list[str]:
    """The names of the project's images, and of its test stages, on an engine, without the newest images.

    Nothing on the engine is needed once it is in the registry; the newest may be of runs under way.
    """
    by_age = sorted(images, key=lambda image: image.created, reverse=True)
    return [name for image in by_age[newest:] for name in image.names if _is_ours(name, repository, Named())]


def _youngest(images: Iterable[Tagged], level: Trust, unknown: datetime) -> list[Tagged]:
    """Those of that level of trust, youngest first."""
    of_level = [one for one in images if one.tag == f"{level.prefix}{capsule_of(one.tag)}"]
    return sorted(of_level, key=lambda one: one.created or unknown, reverse=True)


def removable_bases(images: Iterable[LocalImage], current: str, before: datetime) -> list[str]:
    """The names of base images that no build uses any more; `current` is the digest of today's."""
    return [
        name
        for image in images
        if image.created < before and current not in image.digests
        for name in image.names
    ]


def _is_named(one: Tagged, named: Named) -> bool:
    return one.digest in named.digests or capsule_of(one.tag) in named.capsules


def _is_ours(name: str, repository: str, named: Named) -> bool:
    holder, _, tag = name.rpartition(":")
    if holder == f"{repository}-tests":
        return True
    capsule = capsule_of(tag)
    is_built = capsule is not None and capsule not in named.capsules
    return holder == repository and (is_built or half_of(tag) is not None or bool(RUN_TAG.fullmatch(tag)))
