"""What a run leaves on its machine, however it ended: nothing, once the next one has begun."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flows.config.load import CHECKOUT
from flows.credentials import environment
from flows.services.models.transfer import no_progress
from flows.stages.context import opened

KILLED = """
import os, signal
from flows.credentials import environment
from flows.services.models.transfer import no_progress
from flows.services.process.temporary import temporary_folder
from flows.stages.context import opened
with opened("run-1", print, no_progress, environment) as run, temporary_folder("docker") as login:
    (run.workspace / "build").mkdir()
    (login / "config.json").write_text("s3cret")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))
    return folder


def test_the_next_run_deletes_the_folders_of_a_killed_one(temporary: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=CHECKOUT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(list(temporary.iterdir())) == 2
    said: list[str] = []
    with opened("the-next-run", said.append, no_progress, environment) as run:
        assert list(temporary.iterdir()) == [run.workspace]
    assert [line.partition(",")[2] for line in said] == [" which a killed process left."] * 2
    assert list(temporary.iterdir()) == []
