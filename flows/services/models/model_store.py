"""Models in a blob store: the newest, one by version, fetched into a cache, published.

`<name>/<version>/model.onnx` lies beside `manifest.json`, and `<name>/latest.json` points to the newest. A
version exists for readers from the moment its manifest is there, which is written after the model.
`<name>/pin.json`, while it is there, says that another version than the newest is wanted.

Where the container keeps versions of its objects, the pointer and `<name>/<version>/stored.json` hold the
store's ids of those that were published, and exactly those are fetched: also a model whose files were
overwritten or deleted later. The digests decide nevertheless.

What decides between two who publish the same version is `claim.json`, created before either uploads
anything: it holds the manifest that the version will have, only its content is ever uploaded, and a
publisher with other content is refused. So a version is never a mix. To finish an interrupted publication,
publish the same content again. Claims stay, since a version is bound to its content for good.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from flows.core.errors import DigestMismatch, ModelNotFound, StoreUnavailable, VersionTaken
from flows.core.local_time import rfc3339
from flows.core.model import manifest
from flows.core.model.manifest import ModelManifest
from flows.core.model.model import LARGEST, Latest, Model, ModelVersionSeen, Pin, Stored, require_size
from flows.core.model.names import LATEST, is_version
from flows.services.models.blob_store import Blob, BlobStore
from flows.services.models.model_cache import ModelCache
from flows.services.models.plain_models import MANIFEST, PlainDescription, PlainModels, version_of
from flows.services.models.transfer import Progress, receive, restarted_once, send, silent

PIN, STORED = "pin.json", "stored.json"
POINTER = 64 << 10
"""Bytes that a pointer or a pin may have at most."""


@dataclass(frozen=True)
class Published:
    """What publishing did: whether the version is `new`, and whether it was made the newest by this."""

    model: Model
    new: bool
    pointed: bool

    def __str__(self) -> str:
        what = "published" if self.new else "was published before with the same content"
        stored = f", as version {self.model.stored} in the store" if self.model.stored else ""
        return f"{self.model} {what}{stored}{'; it is the newest now' if self.pointed else ''}"


class ModelStore:
    """The models in one container, and those that were fetched from it into the folder `cache`.

    None is fetched that has more than `largest` bytes: `ModelRejected`.

    Every method may raise what `BlobStore` raises: `StoreUnavailable`, `CredentialsRefused`, and
    `ModelNotFound` when the container is missing.
    """

    def __init__(
        self, blobs: BlobStore, cache: Path, *, plain: PlainDescription | None = None, largest: int = LARGEST
    ) -> None:
        self._blobs = blobs
        self._cache = ModelCache(cache)
        self._plain = PlainModels(blobs, self._cache, plain, largest)
        self._largest = largest

    @property
    def blobs(self) -> BlobStore:
        """The container."""
        return self._blobs

    def newest(self, name: str, progress: Progress = silent) -> Model:
        """The model that `latest.json` names, or without one the newest plain file.

        A plain file's digest is computed by fetching it (into the cache, so `fetch` then finds it there),
        which `progress` reports. `ModelNotFound` when there is neither; `ModelRejected` without
        labels for a plain file.
        """
        if (pointer := self._pointer(name)) is not None:
            return pointer.model
        if (described := self._plain.newest(name, progress)) is not None:
            return described.model
        raise self._not_found(name, f"{self._blobs.place} has no newest model {name!r}.")

    def wanted(self, name: str, progress: Progress = silent) -> Model:
        """The model that the next image gets: the pinned version, else the newest; raises as `find`."""
        pin = self.pinned(name)
        return self.newest(name, progress) if pin is None else self.find(name, pin.version, progress)

    def peek(self, name: str) -> ModelVersionSeen:
        """The wanted model by a look at the store; a plain file is not settled. Raises as `wanted`."""
        if (pin := self.pinned(name)) is not None:
            described, _ = self._published(name, pin.version)
            if described is not None:
                return ModelVersionSeen(name, pin.version, described.digest, settled=True)
        elif (pointer := self._pointer(name)) is not None:
            return ModelVersionSeen(name, pointer.model.version, pointer.model.digest, settled=True)
        for file in self._plain.files(name):
            if pin is None or version_of(file) == pin.version:
                seen = f"{file.path}@{file.modified.isoformat()},{file.size}"
                return ModelVersionSeen(name, version_of(file), seen, settled=False)
        raise self._not_found(name, f"{self._blobs.place} has no model {name!r} that is wanted.")

    def pinned(self, name: str) -> Pin | None:
        """The pin, while there is one."""
        path = f"{name}/{PIN}"
        content = self._blobs.read(path, POINTER)
        return Pin.parse(content, source=f"{path} in {self._blobs.place}") if content else None

    def pin(self, name: str, version: str, run: str) -> None:
        """Pin that version, so that `wanted` gives it until `unpin`; `run` is the flow run that asked."""
        self._blobs.replace(f"{name}/{PIN}", Pin(version, _now(), run).to_bytes())

    def unpin(self, name: str) -> None:
        """Delete the pin, so that `wanted` is the newest version."""
        self._blobs.remove(f"{name}/{PIN}")

    def find(self, name: str, version: str, progress: Progress = silent) -> Model:
        """One version, be it the newest or not; `ModelNotFound` lists those there are."""
        described, stored = self._find(name, version, progress)
        return _named(described, stored)

    def manifest(self, name: str) -> ModelManifest | None:
        """The manifest of the newest model, without the model; None where none was published with one."""
        if (pointer := self._pointer(name)) is None:
            return None
        return self._published(name, pointer.model.version)[0]

    def versions(self, name: str) -> list[str]:
        """The published versions, newest first; without any, those of plain files."""
        published = [
            (blob.modified, PurePosixPath(blob.path).parts[1])
            for blob in self._blobs.list_folder(name)
            if PurePosixPath(blob.path).match(f"{name}/*/manifest.json")
        ]
        if published:
            return [version for _, version in sorted(published, reverse=True)]
        return [version_of(file) for file in self._plain.files(name)]

    def cached(self, model: Model) -> Path | None:
        """The folder of a model that is in the cache; None where `fetch` would ask the store."""
        return self._cache.find(model)

    def fetch(self, model: Model, progress: Progress = silent) -> Path:
        """A folder with the model's model.onnx and manifest.json, from the cache when it is there undamaged.

        `DigestMismatch` when the store's copy is not what `model` says: it is not kept.
        """
        if (cached := self._cache.find(model)) is not None:
            return cached
        described, stored = self._find(model.name, model.version, progress)
        if described.model != model:
            raise _mismatch(model, "the store's manifest is not the one that was published with it")
        # to find a plain file may have meant to fetch it
        return self._cache.find(model) or self._receive(described, stored, progress)

    def publish(self, file: Path, described: ModelManifest, *, progress: Progress = silent) -> Published:
        """Upload a model with its manifest and make it the newest.

        The newest is what was published last, whatever its version says. Published again with the same
        content nothing is uploaded, and it becomes the newest only if a publisher broke off before that.
        `VersionTaken` when the version has, or was begun with, other content; `DigestMismatch` when `file`
        changes meanwhile.
        """
        folder = f"{described.name}/{described.version}"
        claimed = self._claim(folder, described)
        known = self._blobs.find(f"{folder}/manifest.json") is not None
        whole = known and self._holds(f"{folder}/model.onnx", claimed.size)
        stored = self._stored(folder)
        if not whole:
            uploaded = self._upload(file, f"{folder}/model.onnx", claimed, progress)
            self._blobs.create(f"{folder}/manifest.json", claimed.to_bytes())
            stored = self._note_versions(folder, uploaded)
        elif stored is None:
            stored = self._note_versions(folder, None)
        pointer = self._pointer(described.name)
        due = not known or pointer is None or pointer.published < claimed.created
        if due:
            self._point(claimed.model, stored)
        return Published(_named(claimed, stored), new=not whole, pointed=due)

    def _find(self, name: str, version: str, progress: Progress) -> tuple[ModelManifest, Stored]:
        described, stored = None, Stored()
        if is_version(version):
            described, stored = self._published(name, version)
            described = described or self._plain.find(name, version, progress)
        if described is None:
            raise self._not_found(name, f"{self._blobs.place} has no version {version!r} of {name!r}.")
        return described, stored

    def _published(self, name: str, version: str) -> tuple[ModelManifest | None, Stored]:
        """The manifest as it was published, and the store's ids of both files; None: there is none."""
        stored = self._stored(f"{name}/{version}")
        if stored is None:
            pointer = self._pointer(name)
            stored = pointer.stored if pointer and pointer.model.version == version else Stored()
        path = f"{name}/{version}/manifest.json"
        described = self._read_manifest(path, stored.manifest) if stored.manifest else None
        return described or self._read_manifest(path), stored

    def _receive(self, described: ModelManifest, stored: Stored, progress: Progress) -> Path:
        model = described.model
        require_size(model, model.size, self._largest)

        def fetch() -> Path:
            blob = self._model_file(model, stored)
            if blob.size != model.size:
                raise _mismatch(model, f"the store's file has {blob.size} bytes instead of {model.size}")
            with self._cache.receiving() as folder:
                digest = receive(self._blobs, blob, folder / "model.onnx", progress)
                if digest != model.digest:
                    raise _mismatch(model, f"what arrived has the digest {digest}")
                (folder / "manifest.json").write_bytes(described.to_bytes())
                return self._cache.keep(folder, model)

        return restarted_once(fetch)

    def _model_file(self, model: Model, stored: Stored) -> Blob:
        path = f"{model.name}/{model.version}/model.onnx"
        if stored.model and (blob := self._blobs.find(path, stored.model)) is not None:
            return blob
        plain = (file for file in self._plain.files(model.name) if version_of(file) == model.version)
        if (blob := self._blobs.find(path) or next(plain, None)) is None:
            raise ModelNotFound(
                f"{self._blobs.place} has a manifest of {model}, but no {path}.",
                "Publish the same model again; that uploads what is missing.",
            )
        return blob

    def _stored(self, folder: str) -> Stored | None:
        """What publishing noted of the store's versions; None: nothing."""
        path = f"{folder}/{STORED}"
        content = self._blobs.read(path, POINTER)
        return Stored.parse(content, source=f"{path} in {self._blobs.place}") if content else None

    def _note_versions(self, folder: str, uploaded: str | None) -> Stored | None:
        """Note which versions of both files the store has now; `uploaded` is that of the model, if known."""
        files = [self._blobs.find(f"{folder}/{name}") for name in ("model.onnx", "manifest.json")]
        model, described = [None if file is None else file.version for file in files]
        stored = Stored(model=uploaded or model, manifest=described)
        if not stored.is_known:
            return None
        self._blobs.replace(f"{folder}/{STORED}", stored.to_bytes())
        return stored

    def _pointer(self, name: str) -> Latest | None:
        path = f"{name}/{LATEST}"
        content = self._blobs.read(path, POINTER)
        if content is None:
            return None
        return Latest.parse(content, source=f"{path} in {self._blobs.place}", name=name)

    def _point(self, model: Model, stored: Stored | None) -> None:
        pointer = Latest(model, _now(), stored or Stored())
        self._blobs.replace(f"{model.name}/{LATEST}", pointer.to_bytes())

    def _claim(self, folder: str, described: ModelManifest) -> ModelManifest:
        """The manifest that the version has for good: `described`, unless a publisher was here before."""
        published, _ = self._published(described.name, described.version)
        if published is None and self._blobs.create(f"{folder}/claim.json", described.to_bytes()):
            return described
        claimed = published or self._read_manifest(f"{folder}/claim.json")
        if claimed is None:
            raise StoreUnavailable(f"Another publisher deleted {folder}/claim.json.", "Publish again.")
        if claimed == replace(described, created=claimed.created):
            return claimed
        other = "another model file" if claimed.digest != described.digest else "another manifest"
        if published:
            raise VersionTaken(
                f"{described.model} is published already, with {other}.", "Choose a new version."
            )
        raise VersionTaken(
            f"{described.model} is being published with {other}, or was begun and broken off.",
            f"Choose a new version; or, if it was broken off, delete {folder}/claim.json and try again.",
        )

    def _upload(self, file: Path, path: str, claimed: ModelManifest, progress: Progress) -> str | None:
        """The store's id of what was uploaded, where it keeps versions and another was not faster."""
        try:
            return send(self._blobs, file, path, claimed, progress)
        except StoreUnavailable:
            # where two upload the same content, Azure drops the slower one's parts when the other is done
            if not self._holds(path, claimed.size):
                raise
            return None

    def _holds(self, path: str, size: int) -> bool:
        file = self._blobs.find(path)
        return file is not None and file.size == size

    def _read_manifest(self, path: str, version: str | None = None) -> ModelManifest | None:
        content = self._blobs.read(path, MANIFEST, version)
        return manifest.parse(content, source=f"{path} in {self._blobs.place}") if content else None

    def _not_found(self, name: str, happened: str) -> ModelNotFound:
        held = ", ".join(self.versions(name)[:10])
        return ModelNotFound(
            happened, f"Name one of these: {held}." if held else "Publish one: slipway model publish."
        )


def _named(described: ModelManifest, stored: Stored | None) -> Model:
    """The model, with the store's id of its file."""
    return replace(described.model, stored=(stored and stored.model) or "")


def _now() -> str:
    return rfc3339(datetime.now(UTC))


def _mismatch(model: Model, instead: str) -> DigestMismatch:
    return DigestMismatch(
        f"{model} should have the digest {model.digest}, but {instead}; it was not kept.",
        "Publish the model as a new version: its files in the store were changed by hand.",
    )
