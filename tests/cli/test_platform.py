"""The commands for the platform on this machine, and what is asked without one."""

import json
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deployments.local.platform_file import mark_state_folder
from flows.config.load import CHECKOUT
from flows.credentials import environment
from tests.cli.conftest import Slipway

pytestmark = [pytest.mark.platform, pytest.mark.apart]

NAME = {"SLIPWAY_EMBEDDED__NAME": "slipway-unit-down", "SLIPWAY_EMBEDDED__REGISTRY_PORT": "1"}


def test_version_is_that_of_the_project_and_the_commit(slipway: Slipway) -> None:
    number = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    found = re.fullmatch(r"slipway (\S+) \(([0-9a-f]+)(-dirty)?\)\n", slipway("--version").output)
    assert found
    assert found[1] == number
    assert commit.startswith(found[2])


def test_help_comes_without_a_command_and_names_the_credentials_of_local_ci(slipway: Slipway) -> None:
    assert "Usage: slipway" in slipway().output
    text = slipway("ci", "--help", TERMINAL_WIDTH="200").output
    assert all(name in text for name in environment.NAMES)


def test_what_is_asked_often_imports_no_prefect() -> None:
    code = "import sys, flows.cli.__main__; print('prefect' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"


def test_a_shell_completes_environments(slipway: Slipway) -> None:
    request = {"_SLIPWAY_COMPLETE": "complete_bash", "COMP_WORDS": "slipway release st", "COMP_CWORD": "2"}
    assert slipway(**request).output.split() == ["staging"]


def test_status_gives_what_is_live_where_without_a_server(slipway: Slipway, tmp_path: Path) -> None:
    state = str(tmp_path / "other")
    content = json.loads(slipway("status", "--json", PREFECT_API_URL="", SLIPWAY_STATE=state, **NAME).output)
    assert set(content) == {
        "version",
        "app_url",
        "prefect_url",
        "prefect_sign_in",
        "registry",
        "hooks_url",
        "pinned_model",
        "environments",
    }
    assert content["version"] == 1
    assert set(content["environments"]["staging"]) == {
        "digest",
        "capsule",
        "commit",
        "model",
        "replicas",
        "ready",
    }


def test_status_elsewhere_says_which_clusters_do_not_answer(slipway: Slipway) -> None:
    found = slipway("status", "--json")
    assert found.status == 0, found.errors
    content = json.loads(found.output)
    assert set(content) == {"version", "environments"}
    assert set(content["environments"]) == {"staging", "production"}
    assert content["environments"]["staging"] == {"known": False, "live": None, "hold": None}
    assert "not known" in slipway("status").output


def test_up_names_a_port_that_is_in_use_and_starts_nothing(slipway: Slipway, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        found = slipway("up", SLIPWAY_EMBEDDED__BLOB_STORE_PORT=port, **NAME)
    assert found.status == 1
    assert f"Port {port} on 127.0.0.1 is in use" in found.errors
    assert not (tmp_path / "state" / "supervisord.conf").exists()


def test_clean_deletes_the_state_folder_and_down_keeps_it(slipway: Slipway, tmp_path: Path) -> None:
    state = tmp_path / "state"
    mark_state_folder(state)
    assert slipway("down", **NAME).status == 0
    assert state.exists()
    assert slipway("clean", **NAME).status == 0
    assert not state.exists()
