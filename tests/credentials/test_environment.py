"""Credentials of a run by hand."""

import base64
import json
from pathlib import Path

import pytest

from flows.config.schema import Registry
from flows.core.errors import SettingsError
from flows.credentials import environment
from flows.services.registry.auth import Credentials

ACR = Registry(address="myteam.azurecr.io", repository="app", credentials="slipway-registry")


@pytest.fixture(autouse=True)
def signed_in_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in (
        environment.USERNAME,
        environment.PASSWORD,
        environment.CONNECTION_STRING,
        environment.ACCOUNT_URL,
    ):
        monkeypatch.delenv(name, raising=False)


def sign_in(folder: Path, **entry: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {"myteam.azurecr.io": entry}}))


def test_variables_win_over_what_docker_is_signed_in_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(tmp_path, auth=base64.b64encode(b"ada:pa:ss").decode())
    assert environment.registry_credentials(ACR) == Credentials(ACR.address, "ada", "pa:ss")
    monkeypatch.setenv(environment.USERNAME, "bob")
    monkeypatch.setenv(environment.PASSWORD, "word")
    assert environment.registry_credentials(ACR) == Credentials(ACR.address, "bob", "word")


def test_what_az_acr_login_left_is_a_token(tmp_path: Path) -> None:
    nobody = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
    sign_in(tmp_path, auth=nobody, identitytoken="a refresh token")
    found = environment.registry_credentials(ACR)
    assert found
    assert (found.username[:9], found.password) == ("00000000-", "a refresh token")


def test_signed_in_nowhere_the_registry_is_asked_without_credentials() -> None:
    assert environment.registry_credentials(ACR) is None


def test_a_credential_helper_that_is_not_installed_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "not-installed"}))
    with pytest.raises(SettingsError, match=r"not-installed.*Run: docker login myteam\.azurecr\.io"):
        environment.registry_credentials(ACR)


def test_a_user_name_without_a_password_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.USERNAME, "bob")
    with pytest.raises(SettingsError, match="Only one of SLIPWAY_REGISTRY_USERNAME"):
        environment.registry_credentials(ACR)
