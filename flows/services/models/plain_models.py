"""Model files that lie in the store without having been published: how most teams begin.

Any *.onnx below `<name>/`, or else in the container's root, the newest by modification time. Such a file
has no version of its own; its modification time stands for it (20261122T084700Z), since it distinguishes
an overwritten file from its predecessor and can be looked up without a download. Labels and preprocessing
come from a manifest beside it (`<stem>.json` or manifest.json), else from the settings.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from flows.core.errors import DigestMismatch, ModelRejected
from flows.core.local_time import rfc3339
from flows.core.model import manifest
from flows.core.model.graph import Graph
from flows.core.model.manifest import ModelManifest
from flows.core.model.model import LARGEST, require_size
from flows.services.models import model_check
from flows.services.models.blob_store import Blob, BlobStore
from flows.services.models.model_cache import ModelCache
from flows.services.models.model_process import opened
from flows.services.models.transfer import Progress, receive, restarted_once

MANIFEST = 64 << 20
"""Bytes that a manifest may have at most: it holds the model's examples."""


@dataclass(frozen=True)
class PlainDescription:
    """What a manifest would say, from [model.plain] of the settings; the same keys and values."""

    labels: Sequence[str]
    preprocessing: Mapping[str, Any]
    activation: str = "softmax"


@dataclass(frozen=True)
class PlainModels:
    """Plain files in a container; their digests are known once they were fetched, which `cache` remembers."""

    blobs: BlobStore
    cache: ModelCache
    description: PlainDescription | None = None
    largest: int = LARGEST

    def newest(self, name: str, progress: Progress) -> ModelManifest | None:
        """The newest file's manifest, completed with its digest; None when there is no file."""

        def fetch() -> ModelManifest | None:
            files = self.files(name)
            return self.manifest(name, files[0], progress) if files else None

        return restarted_once(fetch)

    def find(self, name: str, version: str, progress: Progress) -> ModelManifest | None:
        """The manifest of the file that was modified when `version` says."""

        def fetch() -> ModelManifest | None:
            found = (file for file in self.files(name) if version_of(file) == version)
            file = next(found, None)
            return None if file is None else self.manifest(name, file, progress)

        return restarted_once(fetch)

    def files(self, name: str) -> list[Blob]:
        """The model files, newest first; none that belongs to a published version, or to one under way."""
        below = self.blobs.list_folder(name)
        claimed = {_folder(blob) for blob in below if PurePosixPath(blob.path).name == "claim.json"}
        files = [blob for blob in below if _folder(blob) not in claimed and blob.path.endswith(".onnx")]
        files = files or [blob for blob in self.blobs.list_root() if blob.path.endswith(".onnx")]
        return sorted(files, key=lambda blob: (blob.modified, blob.path), reverse=True)

    def manifest(self, name: str, file: Blob, progress: Progress) -> ModelManifest:
        """A file's manifest; the file is fetched into the cache unless this one, so described, was before."""
        author = self._author(file)
        key = json.dumps([self.blobs.place, name, file.path, file.etag, file.size, repr(author)])
        if (known := self.cache.noted(key)) is not None:
            return manifest.parse(known, source=f"the note on {file.path}")
        require_size(f"{file.path} in {self.blobs.place}", file.size, self.largest)
        with self.cache.receiving() as folder:
            digest = receive(self.blobs, file, folder / "model.onnx", progress)
            completed = self._completed(name, file, author, digest, folder / "model.onnx")
            (folder / "manifest.json").write_bytes(completed.to_bytes())
            self.cache.keep(folder, completed.model)
        self.cache.note(key, completed.to_bytes())
        return completed

    def _author(self, file: Blob) -> bytes | PlainDescription:
        """What describes the file: a manifest beside it, else the settings."""
        path = PurePosixPath(file.path)
        for beside in (path.with_suffix(".json"), path.with_name("manifest.json")):
            if (content := self.blobs.read(str(beside), MANIFEST)) is not None:
                return content
        if self.description is None:
            raise ModelRejected(
                f"{file.path} in {self.blobs.place} has no manifest beside it, so its labels are unknown.",
                "Set labels and preprocessing under [model.plain] in slipway.toml, or publish the model.",
            )
        return self.description

    def _completed(
        self, name: str, file: Blob, author: bytes | PlainDescription, digest: str, fetched: Path
    ) -> ModelManifest:
        complete = partial(
            manifest.complete,
            name=name,
            version=version_of(file),
            digest=digest,
            size=file.size,
            created=rfc3339(file.modified),
        )
        place = f"{file.path} in {self.blobs.place}"
        if isinstance(author, PlainDescription):
            source = f"the manifest made from [model.plain] for {file.path}"
            graph = opened(fetched, place, author.preprocessing)
            completed = complete(_described(author, file, graph), source=source)
        else:
            self._refuse_contradiction(file, author, digest)
            completed = complete(author, source=f"the manifest beside {file.path}")
            tensors = (completed.input, completed.output)
            graph = opened(fetched, place, asdict(completed.preprocessing), tensors)
        model_check.require_agreement(graph, completed)
        return completed

    def _refuse_contradiction(self, file: Blob, author: bytes, digest: str) -> None:
        promised = manifest.promised_digest(author)
        if promised not in {None, digest}:
            raise DigestMismatch(
                f"{file.path} in {self.blobs.place} has the digest {digest}; the manifest beside it promises "
                f"{promised}.",
                "Upload both again: one of the two was replaced.",
            )


def version_of(file: Blob) -> str:
    """The version of a plain file: its modification time, to the second, in UTC."""
    return f"{file.modified.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _described(description: PlainDescription, file: Blob, graph: Graph) -> bytes:
    tensors = model_check.sole_tensors(graph)
    author = {
        "schema": 1,
        "description": f"{file.path}, described by [model.plain]",
        "input": tensors.input,
        "output": tensors.output,
        "activation": description.activation,
        "labels": list(description.labels),
        "preprocessing": dict(description.preprocessing),
        "examples": [],
    }
    return json.dumps(author).encode()


def _folder(blob: Blob) -> PurePosixPath:
    return PurePosixPath(blob.path).parent
