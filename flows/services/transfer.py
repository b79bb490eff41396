"""Moves a model file between the store and this machine, its digest computed on the way."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from flows.core.errors import DigestMismatch
from flows.core.manifest import Manifest
from flows.services.blob_store import PART, Blob, BlobStore

Progress = Callable[[int, int], None]
"""Told (bytes done, bytes in all) after each part."""


def silent(done: int, total: int) -> None:
    """Tells nobody."""


def receive(blobs: BlobStore, blob: Blob, file: Path, progress: Progress) -> str:
    """Write a blob to `file` and give its digest; a download that breaks off leaves no file.

    `StoreUnavailable` when it breaks off.
    """
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


def parts(file: Path, described: Manifest, progress: Progress) -> Iterator[bytes]:
    """A file's content for an upload, which ends in `DigestMismatch` when `described` promises another."""
    digest, done = hashlib.sha256(), 0
    with file.open("rb") as content:
        while part := content.read(PART):
            digest.update(part)
            done += len(part)
            yield part
            progress(done, described.size)
    if f"sha256:{digest.hexdigest()}" != described.digest:
        raise DigestMismatch(f"{file} has changed since its digest was computed.", "Publish it again.")
