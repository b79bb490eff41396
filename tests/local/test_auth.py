"""Prefect's server lets in those alone who have the string."""

import stat
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import get_client

from deployments.local import platform_file
from deployments.local.instance import Instance
from deployments.local.prefect import auth, server
from deployments.prefect.api import PrefectApi
from flows.config.schema import Embedded
from flows.core.errors import PlatformFailed, SettingsError
from flows.services.prefect.api import FlowRuns
from tests.support.prefect_client import talking_to


@pytest.fixture
def nothing_yet(tmp_path: Path) -> Instance:
    return Instance("sign-in", tmp_path, tmp_path / "state", Embedded())


def test_the_api_answers_401_to_who_does_not_sign_in(prefect_server: PrefectApi) -> None:
    url = f"{prefect_server.ui_url}/api/flow_runs/filter"
    for wrong in (None, ("slipway", "guessed")):
        assert httpx.post(url, json={}, auth=wrong, trust_env=False).status_code == 401
    assert httpx.post(url, json={}, auth=prefect_server.auth, trust_env=False).status_code == 200


def test_who_does_not_sign_in_learns_what_to_set(prefect_server: PrefectApi) -> None:
    stranger = PrefectApi(prefect_server.ui_url, None)
    with pytest.raises(PlatformFailed, match="401"), stranger:
        stranger.queue_limits()
    with (
        talking_to(stranger),
        pytest.raises(SettingsError, match="PREFECT_API_AUTH_STRING"),
        FlowRuns() as runs,
    ):
        runs.with_tags("any")


def test_prefects_client_signs_in_by_the_same_string(prefect_server: PrefectApi) -> None:
    with talking_to(prefect_server), get_client(sync_client=True) as client:
        assert client.read_flow_runs(limit=1) is not None


def test_the_string_is_drawn_once_and_its_owners_alone(nothing_yet: Instance) -> None:
    assert auth.read(nothing_yet) is None
    drawn = auth.ensure(nothing_yet)
    assert auth.ensure(nothing_yet) == drawn == auth.read(nothing_yet)
    assert drawn.startswith("slipway:")
    assert stat.S_IMODE(auth.file(nothing_yet).stat().st_mode) == 0o600


def test_programs_of_the_platform_get_the_string(nothing_yet: Instance) -> None:
    variables = server.flow_environment(nothing_yet)
    drawn = auth.read(nothing_yet)
    assert variables["PREFECT_SERVER_API_AUTH_STRING"] == variables["PREFECT_API_AUTH_STRING"] == drawn
    assert server.client(nothing_yet).sign_in == drawn


def test_the_command_lines_file_is_its_owners_alone(
    nothing_yet: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = nothing_yet.checkout / "prefect.toml"
    monkeypatch.setattr(platform_file, "is_main", lambda _: True)
    monkeypatch.setattr(platform_file, "command_line_file", lambda: file)
    platform_file.write_command_line(nothing_yet)
    assert f'auth_string = "{auth.read(nothing_yet)}"' in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
