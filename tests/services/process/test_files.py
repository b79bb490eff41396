"""What is found on a disk that other runs use."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.core.errors import SettingsError
from flows.services.process.files import (
    PUBLIC,
    older_than,
    private_folder,
    require_own,
    size_of,
    size_of_files,
    write_atomically,
    write_private,
)

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


def test_what_is_written_is_all_there_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file"
    write_atomically(file, b"first")
    with file.open("rb") as reader:
        write_atomically(file, b"second")
        assert reader.read() == b"first"
    assert file.read_bytes() == b"second"
    assert stat.S_IMODE(file.stat().st_mode) == PUBLIC
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_what_can_not_be_put_in_place_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "taken" / "by-a-folder").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "taken", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_private_file_can_be_read_by_its_owner_alone_whatever_was_there(tmp_path: Path) -> None:
    file = written(tmp_path / "secret")
    file.chmod(0o644)
    write_private(file, "secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "secret"


def test_a_private_folder_is_made_and_one_that_others_may_read_is_closed(tmp_path: Path) -> None:
    for folder in (tmp_path / "new" / "state", tmp_path / "open"):
        if folder.name == "open":
            folder.mkdir()
            folder.chmod(0o755)
        assert private_folder(folder) == folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_every_user_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SettingsError, match=r"may be written by every user.*chmod 700"):
        private_folder(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    for check in (private_folder, require_own):
        with pytest.raises(SettingsError, match=r"belongs to another user \(number 12345\)"):
            check(tmp_path)
