"""Files on this machine, which other runs may rename or delete at any moment."""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import mkstemp

PUBLIC, PRIVATE = 0o644, 0o600
"""Who may read a file: everybody, or its owner alone."""


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


def older_than(paths: Iterable[Path], moment: datetime) -> list[Path]:
    """Those that are there and were last changed before that."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < moment.timestamp():
                found.append(path)
    return found


def size_of(folder: Path) -> int:
    """Bytes of all files below."""
    return size_of_files(Path(at, name) for at, _, names in os.walk(folder) for name in names)


def size_of_files(files: Iterable[Path]) -> int:
    """Bytes of those that are there."""
    size = 0
    for file in files:
        with suppress(FileNotFoundError):
            size += file.lstat().st_size
    return size
