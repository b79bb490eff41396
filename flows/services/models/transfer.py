"""Moves a model file between the store and this machine, its digest computed on the way."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from flows.core.errors import DigestMismatch, ObjectReplaced, PermanentError
from flows.services.models.blob_store import Blob, BlobStore
from flows.services.models.model_cache import require_room

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) after each part."""


class Promised(Protocol):
    """What a file must be: its digest, and its bytes."""

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits."""

    @property
    def size(self) -> int:
        """Bytes."""


def silent(done: int, total: int) -> None:
    """Show no progress."""


def no_progress(_title: str) -> Progress:
    """A `Progress` that shows nothing."""
    return silent


def restarted_once(fetch: Callable[[], T]) -> T:
    """What it fetches; it starts again if the object is replaced meanwhile. `PermanentError` the second
    time."""
    try:
        return fetch()
    except ObjectReplaced:
        pass
    try:
        return fetch()
    except ObjectReplaced as again:
        raise PermanentError(
            f"{again.happened} That was the second time.",
            "Find out who keeps writing it, and publish each model once, under a version of its own.",
        ) from again


def receive(blobs: BlobStore, blob: Blob, file: Path, progress: Progress) -> str:
    """Write a blob to `file` and give its digest; a download that breaks off leaves no file.

    `StoreUnavailable` when it breaks off, `ObjectReplaced` when the blob is replaced meanwhile.
    """
    require_room(file.parent, blob.size)
    digest, done = hashlib.sha256(), 0
    try:
        with file.open("wb") as written:
            for part in blobs.download(blob):
                digest.update(part)
                written.write(part)
                done += len(part)
                progress(done, blob.size)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return f"sha256:{digest.hexdigest()}"


def send(blobs: BlobStore, file: Path, path: str, described: Promised, progress: Progress) -> str | None:
    """Write `file` to the store, unless it is not what `described` promises: then `DigestMismatch`.

    The store's id of this version, where it keeps versions. `StoreUnavailable` when it breaks off.
    """
    return blobs.upload(path, _parts(file, blobs.part, described, progress))


def _parts(file: Path, size: int, described: Promised, progress: Progress) -> Iterator[bytes]:
    digest, done = hashlib.sha256(), 0
    with file.open("rb") as content:
        while part := content.read(size):
            digest.update(part)
            done += len(part)
            yield part
            progress(done, described.size)
    if f"sha256:{digest.hexdigest()}" != described.digest:
        raise DigestMismatch(f"{file} has changed since its digest was computed.", "Publish it again.")
