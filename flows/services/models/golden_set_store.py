"""Golden sets in a blob store, beside the models: published, the newest, and fetched into a cache.

`evaluations/<name>/<version>/manifest.json` describes one version, and `evaluations/<name>/latest.json` names
the newest. The inputs are one archive beside the manifest, named by its digest. So two who publish the same
version at once write different files, and the manifest, which is created once, says whose counts.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from flows.core.duel import golden_set
from flows.core.duel.golden_set import INPUTS, MANIFEST, GoldenSet, LatestGoldenSet
from flows.core.errors import DigestMismatch, GoldenSetRejected, StoreUnavailable, VersionTaken
from flows.core.local_time import rfc3339
from flows.core.model.names import LATEST
from flows.services.models.blob_store import Blob, BlobStore
from flows.services.models.model_cache import ModelCache
from flows.services.models.transfer import Progress, receive, restarted_once, send, silent

EVALUATIONS = "evaluations"
"""The folder of the store that holds golden sets."""

POINTER_LIMIT = 64 << 10
"""Bytes that the pointer to the newest may have."""

PUBLISH_AGAIN = "Publish the golden set as a new version: its files in the store were changed by hand."


@dataclass(frozen=True)
class PublishedGoldenSet:
    """What publishing did: whether the version is `new`, and whether it was made the newest by this."""

    golden: GoldenSet
    new: bool
    pointed: bool

    def __str__(self) -> str:
        what = "published" if self.new else "was published before with the same content"
        return f"{self.golden} {what}{'; it is the newest now' if self.pointed else ''}"


@dataclass(frozen=True)
class GoldenSetStore:
    """The golden sets in one container, and those that were fetched from it into the folder `cache`.

    Every method may raise what `BlobStore` raises.
    """

    blobs: BlobStore
    cache: Path

    def newest(self, name: str) -> GoldenSet | None:
        """The golden set that `latest.json` names; None before the first one is published.

        `DigestMismatch` where its manifest is not the one that was published.
        """
        pointer = self._pointer(name)
        if pointer is None:
            return None
        found = self.find(name, pointer.version)
        if found is None or found.manifest_digest != pointer.manifest_digest:
            raise DigestMismatch(
                f"{self.blobs.place} has another manifest of golden set {name} {pointer.version} than was "
                "published.",
                PUBLISH_AGAIN,
            )
        return found

    def find(self, name: str, version: str) -> GoldenSet | None:
        """One version; None where there is none."""
        path = f"{_folder(name, version)}/{MANIFEST}"
        content = self.blobs.read(path, golden_set.MANIFEST_LIMIT)
        if content is None:
            return None
        source = f"{path} in {self.blobs.place}"
        found = golden_set.parse(content, source=source)
        if (found.name, found.version) != (name, version):
            raise GoldenSetRejected(f"{source} is that of {found}.", PUBLISH_AGAIN)
        return found

    def versions(self, name: str) -> list[str]:
        """The published versions, newest first."""
        published = [
            (blob.modified, PurePosixPath(blob.path).parts[-2])
            for blob in self.blobs.list_folder(f"{EVALUATIONS}/{name}")
            if PurePosixPath(blob.path).match(f"{EVALUATIONS}/{name}/*/{MANIFEST}")
        ]
        return [version for _, version in sorted(published, reverse=True)]

    def fetch(self, golden: GoldenSet, progress: Progress = silent) -> Path:
        """A folder with its manifest and inputs, from the cache when it is there undamaged.

        `DigestMismatch` when the store's copy is not what the manifest says: it is not kept.
        """
        cache = ModelCache(self.cache)
        if (cached := cache.find(golden)) is not None:
            return cached

        def fetch() -> Path:
            blob = self._archive(golden)
            if blob is None or blob.size != golden.size:
                raise DigestMismatch(f"The inputs of {golden} are not in {self.blobs.place}.", PUBLISH_AGAIN)
            with cache.receiving() as folder:
                if receive(self.blobs, blob, folder / INPUTS, progress) != golden.digest:
                    raise DigestMismatch(
                        f"The inputs of {golden} that arrived have another digest; they were not kept.",
                        PUBLISH_AGAIN,
                    )
                (folder / MANIFEST).write_bytes(golden.to_bytes())
                return cache.keep(folder, golden)

        return restarted_once(fetch)

    def publish(
        self, archive: Path, described: GoldenSet, *, progress: Progress = silent
    ) -> PublishedGoldenSet:
        """Upload a golden set and make it the newest.

        Published again with the same content, nothing is uploaded but what was lost, and it becomes the
        newest only if a publisher broke off before that. `VersionTaken` when the version has other content;
        `DigestMismatch` when `archive` changes meanwhile.
        """
        there = self.find(described.name, described.version)
        if there is not None and not there.is_content_of(described):
            raise _taken(described)
        is_new = there is None or self._archive(described) is None
        if is_new:
            send(self.blobs, archive, _archive_path(described), described, progress)
        published = there or self._create(described)
        pointer = self._pointer(described.name)
        due = there is None or pointer is None or pointer.published < published.created
        if due:
            self._point(published)
        return PublishedGoldenSet(published, is_new, due)

    def _create(self, described: GoldenSet) -> GoldenSet:
        """The manifest that the version has for good: `described`, unless another publisher was first."""
        path = f"{_folder(described.name, described.version)}/{MANIFEST}"
        if self.blobs.create(path, described.to_bytes()):
            return described
        there = self.find(described.name, described.version)
        if there is None:
            raise StoreUnavailable(f"Another publisher deleted {path}.", "Publish again.")
        if there.is_content_of(described):
            return there
        if there.digest != described.digest:
            self.blobs.remove(_archive_path(described))
        raise _taken(described)

    def _archive(self, golden: GoldenSet) -> Blob | None:
        return self.blobs.find(_archive_path(golden))

    def _pointer(self, name: str) -> LatestGoldenSet | None:
        path = f"{EVALUATIONS}/{name}/{LATEST}"
        content = self.blobs.read(path, POINTER_LIMIT)
        if content is None:
            return None
        return LatestGoldenSet.parse(content, source=f"{path} in {self.blobs.place}", name=name)

    def _point(self, golden: GoldenSet) -> None:
        pointer = LatestGoldenSet(
            golden.name, golden.version, golden.manifest_digest, rfc3339(datetime.now(UTC))
        )
        self.blobs.replace(f"{EVALUATIONS}/{golden.name}/{LATEST}", pointer.to_bytes())


def _folder(name: str, version: str) -> str:
    return f"{EVALUATIONS}/{name}/{version}"


def _archive_path(golden: GoldenSet) -> str:
    digits = golden.digest.removeprefix("sha256:")
    return f"{_folder(golden.name, golden.version)}/inputs-{digits}.tar"


def _taken(described: GoldenSet) -> VersionTaken:
    return VersionTaken(f"{described} is published already, with other content.", "Choose a new version.")
