import os
import shutil
import subprocess
from pathlib import Path

import pytest

from flows.config.load import CHECKOUT

BOOTSTRAP = CHECKOUT / "deployments" / "local" / "bootstrap"
HARMLESS = (
    "sh",
    "dirname",
    "id",
    "tr",
    "sha256sum",
    "cut",
    "cat",
    "flock",
    "mktemp",
    "git",
    "docker",
    "dockerd",
)


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """A checkout without .venv, and a PATH on which iptables, mmdebstrap and apt-get are missing."""
    checkout = tmp_path / "checkout"
    for file in ("requirements.txt", "deployments/local/requirements.txt", "deployments/local/uv.txt"):
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / file, checkout / file)
    script = checkout / "deployments/local/bootstrap"
    script.write_text(BOOTSTRAP.read_text().replace(":/usr/sbin:/sbin", ""))
    script.chmod(0o755)
    (tmp_path / "bin").mkdir()
    for program in [*HARMLESS, "python3"]:
        if found := shutil.which(program):
            (tmp_path / "bin" / program).symlink_to(found)
    return checkout


def call(checkout: Path, path: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "deployments/local/bootstrap", *command],
        env={"PATH": path, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_missing_packages_are_named_where_they_cannot_be_installed(bare_machine: Path) -> None:
    ended = call(bare_machine, str(bare_machine.parent / "bin"), "true")
    assert ended.returncode == 2
    assert "this machine lacks iptables mmdebstrap" in ended.stderr
    assert not (bare_machine / ".venv").exists()


def test_what_only_the_tests_need_is_named_for_them_alone(bare_machine: Path) -> None:
    path = str(bare_machine.parent / "bin")
    for package in ("dnsmasq-base", "chromium"):
        assert package in call(bare_machine, path, "--tests", "true").stderr
        assert package not in call(bare_machine, path, "true").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="plays a user without rights, which only root can")
def test_a_user_without_sudo_gets_the_command(bare_machine: Path) -> None:
    path = bare_machine.parent / "bin"
    (path / "apt-get").symlink_to("/bin/false")
    (path / "id").unlink()
    (path / "id").write_text("#!/bin/sh\necho 1000\n")
    (path / "id").chmod(0o755)
    ended = call(bare_machine, str(path), "true")
    assert ended.returncode == 2
    assert "Run: sudo apt-get update && sudo apt-get install --no-install-recommends iptables" in ended.stderr


def test_when_everything_is_there_it_just_runs_the_program() -> None:
    made_for = CHECKOUT / ".venv" / "place"
    if not made_for.exists() or made_for.read_text().strip() != str(CHECKOUT):
        pytest.skip("this checkout's environment was not made by it")
    ended = call(CHECKOUT, os.environ["PATH"], "python", "-c", "import sys; print(sys.prefix)")
    assert ended.stdout.strip() == str(CHECKOUT / ".venv")
    assert ended.stderr == ""
