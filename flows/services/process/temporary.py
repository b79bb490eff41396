"""Temporary folders that nothing outlives: the process deletes its own, and the next process those of one
that was killed.

A folder is locked while its process lives; the kernel lifts the lock, however the process ends.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MINE, NEW = "slipway-tmp-", ".slipway-new-"
"""How they are named: once they are locked, and in the moment before."""

_open: set[Path] = set()


@contextmanager
def temporary_folder(what: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder for this user alone, deleted at the end; below `parent`, or where temporary files go."""
    begun = Path(tempfile.mkdtemp(prefix=NEW, dir=parent))
    lock = os.open(begun, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = begun.rename(begun.with_name(f"{MINE}{what}-{begun.name.removeprefix(NEW)}"))
    _open.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _open.discard(folder)
        os.close(lock)


def delete_own() -> None:
    """Delete those of this process, which is about to end without leaving its contexts."""
    for folder in tuple(_open):
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path | None = None) -> list[str]:
    """Delete what killed processes of this user left there; the names of the folders."""
    return [folder.name for folder in _folders(parent) if _deleted(folder)]


def in_use(parent: Path | None = None) -> list[str]:
    """The names of the folders there whose processes live."""
    return [folder.name for folder in _folders(parent) if not _is_free(folder)]


def _folders(parent: Path | None) -> list[Path]:
    return sorted((parent or Path(tempfile.gettempdir())).glob(f"{MINE}*"))


def _deleted(folder: Path) -> bool:
    with _locked(folder) as is_ours:
        if is_ours:
            shutil.rmtree(folder, ignore_errors=True)
        return is_ours


def _is_free(folder: Path) -> bool:
    with _locked(folder) as is_ours:
        return is_ours


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether it is this user's and of no living process; it is locked meanwhile."""
    descriptor = -1
    try:
        with suppress(OSError):  # gone, a link, another user's, or locked
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.geteuid():
                yield True
                return
        yield False
    finally:
        if descriptor >= 0:
            os.close(descriptor)
