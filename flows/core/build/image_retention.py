"""What may go: images that nothing names, and that are old; the rest of an installation's past likewise.

An image stays that a release record of any environment names, or a mark, `latest`, or a replica that runs. A
mark, too: built again, its image would have another digest, which no mark keeps from being released.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.core.build.capsule import ATTACHED

CAPSULE = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Named:
    """What something names, by manifest digest and by capsule: it stays, however old it is."""

    digests: frozenset[str] = frozenset()
    capsules: frozenset[str] = frozenset()

    def __or__(self, other: "Named") -> "Named":
        return Named(self.digests | other.digests, self.capsules | other.capsules)


@dataclass(frozen=True)
class Tagged:
    """A tag of the registry and its manifest's digest; `created`: when that image was built, if it is one."""

    tag: str
    digest: str
    created: datetime | None = None


@dataclass(frozen=True)
class LocalImage:
    """An image on the engine: all its names, the digests it has in registries, and when it was built."""

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
    """The tags whose manifests may be deleted: images built before that time, with what is attached to them.

    The `newest` images stay in any case, and so does every tag that is not made from a capsule, as `latest`.
    A manifest goes only when all of its tags may: deleting it takes them along. What is attached to no image
    stays: its image may be on the way.
    """
    images = [one for one in tags if CAPSULE.fullmatch(one.tag) and one.created is not None]
    youngest = sorted(images, key=lambda one: one.created or before, reverse=True)[:newest]
    going = {
        one.tag
        for one in images
        if one.created and one.created < before and not _is_named(one, named) and one not in youngest
    }
    going |= {f"{tag}{ATTACHED}" for tag in going}
    staying = {one.digest for one in tags if one.tag not in going}
    return [one for one in tags if one.digest not in staying]


def first_images(going: Sequence[Tagged], most: int) -> list[Tagged]:
    """Those that can go with the first `most` images: what several share goes with the last of them."""
    later = set([one.tag for one in going if CAPSULE.fullmatch(one.tag)][most:])
    needed = {one.digest for one in going if one.tag.removesuffix(ATTACHED) in later}
    return [one for one in going if one.digest not in needed]


def removable_names(
    images: Iterable[LocalImage], repository: str, named: Named, before: datetime
) -> list[str]:
    """The names that may be removed of the project's images on an engine, and of those of test stages."""
    return [
        name
        for image in images
        if image.created < before and named.digests.isdisjoint(image.digests)
        for name in image.names
        if _is_ours(name, repository, named)
    ]


def _is_named(one: Tagged, named: Named) -> bool:
    return one.digest in named.digests or one.tag in named.capsules


def _is_ours(name: str, repository: str, named: Named) -> bool:
    holder, _, tag = name.rpartition(":")
    if holder == f"{repository}-tests":
        return True
    return holder == repository and bool(CAPSULE.fullmatch(tag)) and tag not in named.capsules
