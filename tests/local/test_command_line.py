import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.local.instance import Instance
from deployments.local.platform_file import mark_state_folder
from deployments.local.stores import credentials
from flows.config.load import CHECKOUT
from flows.config.schema import Embedded

pytestmark = pytest.mark.platform


def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deployments.local", *arguments],
        cwd=CHECKOUT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_says_what_each_command_does() -> None:
    text = call("--help").stdout
    assert all(command in text for command in ("run", "stop", "clean", "status"))
    assert "release" in call("run", "--help").stdout


def test_wrong_settings_are_one_line_and_exit_with_2() -> None:
    for command in ("run", "stop", "clean", "status"):
        ended = call(command, SLIPWAY_TIMEZONE="Mars/Olympus")
        assert ended.returncode == 2
        assert "timezone" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


def test_without_a_platform_there_are_no_credentials_to_print(tmp_path: Path) -> None:
    ended = call("variables", SLIPWAY_STATE=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Run: make run" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_exits_with_2() -> None:
    assert call("start").returncode == 2


def test_status_of_a_platform_that_is_down_has_every_key(tmp_path: Path) -> None:
    answer = call("status", "--json", SLIPWAY_STATE=str(tmp_path), SLIPWAY_EMBEDDED__NAME="slipway-unit-down")
    nothing = {
        "digest": None,
        "capsule": None,
        "commit": None,
        "model": {"name": None, "version": None, "digest": None},
        "replicas": None,
        "ready": None,
    }
    assert json.loads(answer.stdout) == {
        "version": 1,
        "app_url": "http://127.0.0.1:8080",
        "prefect_url": "http://127.0.0.1:4200",
        "prefect_sign_in": str(tmp_path / "prefect-sign-in"),
        "registry": "localhost:5001",
        "hooks_url": "http://127.0.0.1:4280",
        "pinned_model": None,
        "environments": {"staging": nothing, "production": nothing},
    }


def test_status_for_people_works_while_everything_is_down(tmp_path: Path) -> None:
    answer = call("status", SLIPWAY_STATE=str(tmp_path), SLIPWAY_EMBEDDED__NAME="slipway-unit-down")
    assert "nothing is live" in answer.stdout
    assert answer.returncode == 0


def test_stopping_what_does_not_run_is_fine(tmp_path: Path) -> None:
    answer = call("stop", SLIPWAY_STATE=str(tmp_path), SLIPWAY_EMBEDDED__NAME="slipway-unit-down")
    assert answer.returncode == 0


@pytest.mark.parametrize("command", ["--help", "status", "status --json", "variables", "backup", "stop"])
def test_no_command_leaves_a_temporary_file(tmp_path: Path, command: str) -> None:
    state, temporary = tmp_path / "state", tmp_path / "temporary"
    for folder in (state, temporary, temporary / "slipway-tmp-run-of-a-killed-process"):
        folder.mkdir()
    mark_state_folder(state)
    credentials.ensure_kubeconfig(
        Instance("slipway-unit-down", CHECKOUT, state, Embedded(kubernetes_port=1025))
    )
    call(
        *command.split(),
        SLIPWAY_STATE=str(state),
        SLIPWAY_EMBEDDED__NAME="slipway-unit-down",
        TMPDIR=str(temporary),
    )
    assert list(temporary.iterdir()) == []


def test_a_port_in_use_stops_run_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = call(
            "run",
            SLIPWAY_STATE=str(tmp_path),
            SLIPWAY_EMBEDDED__NAME="slipway-unit-down",
            SLIPWAY_EMBEDDED__BLOB_STORE_PORT=str(port),
        )
    assert answer.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in answer.stderr
    assert not (tmp_path / "supervisord.conf").exists()
