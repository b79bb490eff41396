"""Models and golden sets on this machine, by digest: an entry is complete and right, or it is not there.

`<model digest>-<manifest digest>/` holds model.onnx and manifest.json. Entries are written beside and
renamed, so any number of processes may fetch the same model at once.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from flows.core.errors import DigestMismatch, PermanentError
from flows.core.model.names import is_digest
from flows.core.text import quoted
from flows.services.process.files import older_than, size_of, write_atomically

_RECEIVING, _NOTE = ".receiving-", "note-"
_ABANDONED = 24 * 3600
"""Seconds after which a folder that is still being received belongs to a process that was killed."""


class Cacheable(Protocol):
    """What an entry can hold: a model, or a golden set."""

    @property
    def files(self) -> Mapping[str, str]:
        """The names of its files, and the digest of each."""


@dataclass(frozen=True)
class ModelCache:
    """Keeps models, golden sets and notes below `folder`, which is made when it is needed."""

    folder: Path

    def find(self, model: Cacheable) -> Path | None:
        """The model's folder; None when it is not here. A damaged entry is deleted.

        Its digests are computed each time, so that no image gets a damaged model: 0.9 s for 500 MB.
        """
        entry = self._entry(model)
        if not entry.is_dir():
            return None
        if all(_is(entry / name, digest) for name, digest in model.files.items()):
            os.utime(entry)
            return entry
        self._remove(entry)
        return None

    @contextlib.contextmanager
    def receiving(self) -> Iterator[Path]:
        """A folder to write to; what was not handed to `keep` is deleted when the block ends.

        `PermanentError` where the disk is full.
        """
        with _full_disk_reported(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            received = Path(tempfile.mkdtemp(prefix=_RECEIVING, dir=self.folder))
            try:
                received.chmod(0o755)
                yield received
            finally:
                shutil.rmtree(received, ignore_errors=True)

    def keep(self, received: Path, model: Cacheable) -> Path:
        """Make a received folder, whose digests are right, the model's; where one was first, that one
        stays."""
        if (entry := self.find(model)) is not None:
            return entry
        try:
            return received.rename(self._entry(model))
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            return self.keep(received, model)  # another process put it there since

    def unused_since(self, moment: datetime) -> list[Path]:
        """The models that no run has used since then."""
        return older_than(self._entries(), moment)

    def beyond(self, size: int, moment: datetime) -> list[Path]:
        """The models used least recently, without which the others have `size` bytes at most.

        None that a run has used since `moment`: it may be at it.
        """
        entries = sorted(self._entries(), key=_used, reverse=True)
        total = accumulate(size_of(entry) for entry in entries)
        surplus = [entry for entry, so_far in zip(entries, total, strict=True) if so_far > size]
        return older_than(surplus, moment)

    def notes_unused_since(self, moment: datetime) -> list[Path]:
        """The notes that no run has read since then."""
        return older_than(self.folder.glob(f"{_NOTE}*"), moment)

    def note(self, key: str, content: bytes) -> None:
        """Keep what was computed from a file; `key` is the file's identity."""
        write_atomically(self._note(key), content)

    def noted(self, key: str) -> bytes | None:
        """What was kept under `key`; None where nothing was."""
        note = self._note(key)
        try:
            os.utime(note)
            return note.read_bytes()
        except FileNotFoundError:
            return None

    def _entries(self) -> list[Path]:
        return [path for path in self.folder.glob("*-*") if path.is_dir() and path.name[0] != "."]

    def _entry(self, model: Cacheable) -> Path:
        """`DigestMismatch` where a digest is none: it would lead out of the folder."""
        digests = tuple(model.files.values())
        if not all(is_digest(digest) for digest in digests):
            raise DigestMismatch(f"{model} has a digest that is none: {quoted(digests)}.")
        return self.folder / "-".join(digest.removeprefix("sha256:") for digest in digests)

    def _note(self, key: str) -> Path:
        return self.folder / f"{_NOTE}{hashlib.sha256(key.encode()).hexdigest()}"

    def _remove(self, entry: Path) -> None:
        # another process may have found the damage too
        with self.receiving() as folder, contextlib.suppress(FileNotFoundError):
            entry.rename(folder / entry.name)

    def _remove_abandoned(self) -> None:
        for folder in self.folder.glob(f"{_RECEIVING}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True)


def require_room(folder: Path, size: int) -> None:
    """`PermanentError` where so many bytes don't fit on the disk of that folder."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise _full(folder, f"{free / 1e6:.0f} MB are free, and {size / 1e6:.0f} MB are to be written")


@contextlib.contextmanager
def _full_disk_reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise _full(folder, str(error.strerror)) from error


def _full(folder: Path, what: str) -> PermanentError:
    return PermanentError(
        f"The disk of this machine is full at {folder}: {what}.",
        "Free space there, lower [housekeeping] models in slipway.toml, or move the state folder "
        "(SLIPWAY_STATE) to a larger disk.",
    )


def _used(entry: Path) -> float:
    """When a run last used it; a run may just have deleted it."""
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return 0


def _is(file: Path, digest: str) -> bool:
    try:
        with file.open("rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}" == digest
    except FileNotFoundError:
        return False
