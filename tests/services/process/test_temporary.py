"""Temporary folders go with their process, or with the next one."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from flows.services.process import temporary
from flows.services.process.temporary import in_use, sweep, temporary_folder

HOLD = """
import sys
from pathlib import Path
from flows.services.process.temporary import temporary_folder
with temporary_folder("run", Path(sys.argv[1])) as folder:
    (folder / "login").write_text("s3cret")
    print(folder, flush=True)
    sys.stdin.read()
"""


def holder(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_the_users_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    with temporary_folder("docker", tmp_path) as folder:
        assert folder.name.startswith("slipway-tmp-docker-")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_the_next_process_deletes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path: Path) -> None:
    killed, left = holder(tmp_path)
    living, held = holder(tmp_path)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        assert (left / "login").exists()
        assert in_use(tmp_path) == [held.name]
        assert sweep(tmp_path) == [left.name]
        assert list(tmp_path.iterdir()) == [held]
        assert (held / "login").exists()
    finally:
        living.communicate(timeout=10)
    assert list(tmp_path.iterdir()) == []


def test_what_this_process_holds_is_not_swept(tmp_path: Path) -> None:
    with temporary_folder("run", tmp_path) as folder:
        assert sweep(tmp_path) == []
        assert folder.is_dir()


def test_other_folders_files_and_links_stay(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "precious").mkdir(parents=True)
    (tmp_path / "slipway-1234").mkdir()
    (tmp_path / "slipway-tmp-file").touch()
    (tmp_path / "slipway-tmp-link").symlink_to(elsewhere)
    assert sweep(tmp_path) == []
    assert (elsewhere / "precious").is_dir()
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
def test_another_users_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "slipway-tmp-run-x"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    assert sweep(tmp_path) == []
    assert folder.is_dir()


def test_a_process_that_ends_at_once_can_delete_its_own_before(tmp_path: Path) -> None:
    with temporary_folder("run", tmp_path) as folder:
        (folder / "file").touch()
        temporary.delete_own()
        assert list(tmp_path.iterdir()) == []
