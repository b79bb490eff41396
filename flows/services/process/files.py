"""Files on this machine, which other runs may rename or delete at any moment."""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path


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
