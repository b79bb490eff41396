"""What is found on a disk that other runs use."""

import os
from datetime import UTC, datetime
from pathlib import Path

from flows.services.process.files import older_than, size_of, size_of_files

OLD, NEW = 1_000_000, 3_000_000
BETWEEN = datetime.fromtimestamp(2_000_000, UTC)


def written(file: Path, size: int = 0, changed: int = OLD) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (changed, changed))
    return file


def test_a_folder_is_as_large_as_all_files_below(tmp_path: Path) -> None:
    written(tmp_path / "a", 3)
    written(tmp_path / "b" / "c", 4)
    assert size_of(tmp_path) == 7


def test_what_has_gone_since_it_was_listed_is_passed_over(tmp_path: Path) -> None:
    there, new, gone = written(tmp_path / "a", 3), written(tmp_path / "b", 1, NEW), tmp_path / "gone"
    assert size_of_files([gone, there]) == 3
    assert size_of(gone) == 0
    assert older_than([gone, there, new], BETWEEN) == [there]
