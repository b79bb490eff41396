"""Credentials of a run by hand."""

import base64
import json
from pathlib import Path

import pytest

from flows.config.schema import Azure, ModelSettings, Registry
from flows.core.errors import SettingsError
from flows.credentials import environment
from flows.services.azure.cloud import CLOUDS
from flows.services.azure.identity import AzureIdentity
from flows.services.models.azure_blobs import AzureAccess
from flows.services.registry.auth import Credentials

AZ_LOGIN = AzureAccess(identity=AzureIdentity("azure-cli", CLOUDS["public"]))
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


def credentials() -> Credentials | None:
    """What a run by hand signs in with."""
    return environment.registry_login(ACR, Azure())()


def sign_in(folder: Path, **entry: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {"myteam.azurecr.io": entry}}))


def test_variables_win_over_what_docker_is_signed_in_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(tmp_path, auth=base64.b64encode(b"ada:pa:ss").decode())
    assert credentials() == Credentials(ACR.address, "ada", "pa:ss")
    monkeypatch.setenv(environment.USERNAME, "bob")
    monkeypatch.setenv(environment.PASSWORD, "word")
    assert credentials() == Credentials(ACR.address, "bob", "word")


def test_what_az_acr_login_left_is_a_token(tmp_path: Path) -> None:
    no_user = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
    sign_in(tmp_path, auth=no_user, identitytoken="a refresh token")
    found = credentials()
    assert found
    assert (found.username[:9], found.password) == ("00000000-", "a refresh token")


def test_signed_in_nowhere_the_registry_is_asked_without_credentials() -> None:
    assert credentials() is None


def test_a_credential_helper_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "not-installed"}))
    with pytest.raises(SettingsError, match=r"not-installed.*Run: docker login myteam\.azurecr\.io"):
        credentials()


def test_a_user_name_without_a_password_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.USERNAME, "bob")
    with pytest.raises(SettingsError, match="Only one of SLIPWAY_REGISTRY_USERNAME"):
        credentials()


@pytest.mark.parametrize(
    ("store", "variables", "account"),
    [
        ("az://acme/models", {}, "acme"),
        ("az://acme/models", {environment.ACCOUNT_URL: "https://acme.blob.core.windows.net"}, "acme"),
        ("az://models", {environment.ACCOUNT_URL: "https://mine.blob.core.windows.net"}, "mine"),
        ("az://models", {environment.CONNECTION_STRING: "AccountName=mine;AccountKey=a2V5"}, "mine"),
    ],
)
def test_models_are_in_the_account_of_slipway_toml_or_of_the_variables(
    store: str, variables: dict[str, str], account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    wanted = ModelSettings(name="tiny", store=store, credentials="slipway-blob-store")
    found = environment.blob_store(wanted, AZ_LOGIN)
    assert found.place == f"container 'models' at https://{account}.blob.core.windows.net"


def test_an_account_of_the_variables_that_is_not_the_one_of_slipway_toml_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(environment.ACCOUNT_URL, "https://mine.blob.core.windows.net")
    with pytest.raises(
        SettingsError, match=r"is for https://mine\..* but \[model\] store is az://acme/models"
    ):
        environment.blob_store(ModelSettings(name="tiny", store="az://acme/models"), AZ_LOGIN)
