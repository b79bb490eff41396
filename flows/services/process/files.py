"""Files on this machine, which other runs may rename or delete at any moment."""

import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import mkstemp

from flows.core.errors import SettingsError

PUBLIC, PRIVATE = 0o644, 0o600
"""Who may read a file: everybody, or its owner alone."""

OWNER_ALONE = 0o700
"""Of a folder."""


def write_atomically(path: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Put the content there at once: a reader gets the old file or the new one, with `mode` from the start.

    Missing folders are created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_private(path: Path, content: str | bytes) -> None:
    """`write_atomically`, for the owner alone."""
    write_atomically(path, content.encode() if isinstance(content, str) else content, PRIVATE)


def private_folder(folder: Path) -> Path:
    """The folder, made where it is missing, for its owner alone; `SettingsError` as from `require_own`."""
    folder.mkdir(mode=OWNER_ALONE, parents=True, exist_ok=True)
    require_own(folder)
    folder.chmod(OWNER_ALONE)
    return folder


def require_own(folder: Path) -> None:
    """`SettingsError` where the folder is there and another user may have written what is in it."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise _not_ours(folder, "is closed to this user") from error
    if found.st_uid != os.geteuid():
        raise _not_ours(folder, f"belongs to another user (number {found.st_uid})")
    if found.st_mode & stat.S_IWOTH:
        raise SettingsError(
            f"The folder {folder} may be written by every user of this machine.",
            f"Check what is in it, then run: chmod 700 {folder}",
        )


def _not_ours(folder: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The folder {folder} {why}.", "Run this as its owner, or name another folder in SLIPWAY_STATE."
    )


def older_than(paths: Iterable[Path], moment: datetime) -> list[Path]:
    """The paths that exist and were last changed before `moment`."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < moment.timestamp():
                found.append(path)
    return found


def remove(paths: Iterable[Path]) -> int:
    """Delete folders and files, as far as this user may; the bytes that they had."""
    size = 0
    for path in paths:
        size += size_of(path)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return size


def size_of(path: Path) -> int:
    """Bytes of the file, or of all files below the folder."""
    below = (Path(at, name) for at, _, names in os.walk(path) for name in names)
    return size_of_files(below if path.is_dir() else [path])


def size_of_files(files: Iterable[Path]) -> int:
    """Bytes of those that are there."""
    size = 0
    for file in files:
        with suppress(FileNotFoundError):
            size += file.lstat().st_size
    return size
