"""How `[registry] login` signs in, in flow runs and by hand, without any Prefect block."""

import base64
import json
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import ModuleType

import boto3
import pytest
from moto import mock_aws

from flows.config.schema import Azure, Registry
from flows.core.errors import CredentialsRefused, RegistryUnavailable, SettingsError, SlipwayError
from flows.credentials import environment, prefect_blocks
from flows.credentials.registry import briefly_cached
from flows.services.registry.auth import Credentials
from tests.stand_ins.http_server import JsonHandler, serving

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"

both = pytest.mark.parametrize("source", [prefect_blocks, environment])


@pytest.fixture(autouse=True)
def signed_in_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in (environment.USERNAME, environment.PASSWORD):
        monkeypatch.delenv(name, raising=False)


def credentials(source: ModuleType, address: str, login: str) -> Credentials | None:
    registry = Registry.model_validate({"address": address, "repository": "team/app", "login": login})
    found: Credentials | None = source.registry_login(registry, Azure())()
    return found


@both
@mock_aws
def test_aws_gives_a_password_for_the_region_of_the_registry(
    source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    found = credentials(source, ECR, "aws")
    assert found
    (given,) = boto3.client("ecr", "eu-central-1").get_authorization_token()["authorizationData"]
    assert f"{found.username}:{found.password}" == base64.b64decode(given["authorizationToken"]).decode()


@mock_aws
def test_an_address_that_is_none_of_awss_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(SettingsError, match=r"myteam\.azurecr\.io is no address of AWS"):
        credentials(prefect_blocks, "myteam.azurecr.io", "aws")


def test_a_machine_without_an_identity_of_aws_learns_where_to_set_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with pytest.raises(SettingsError, match=r"no working identity of AWS: .*Set AWS_PROFILE"):
        credentials(prefect_blocks, ECR, "aws")


@pytest.mark.parametrize(
    ("status", "code", "kind", "remedy"),
    [
        (400, "AccessDeniedException", CredentialsRefused, "ecr:GetAuthorizationToken"),
        (400, "ExpiredTokenException", CredentialsRefused, "aws sso login"),
        (400, "UnrecognizedClientException", CredentialsRefused, "correct the keys"),
        (400, "ThrottlingException", RegistryUnavailable, ""),
        (500, "ServerException", RegistryUnavailable, ""),
    ],
)
def test_what_aws_refuses_is_reported_with_its_code(
    status: int, code: str, kind: type[SlipwayError], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(JsonHandler):
        def do_POST(self) -> None:
            self.answer(status, {"__type": code, "message": "not now"})

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a-key")
    with serving(Refusing) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", address)
        with pytest.raises(kind, match=f"{code}: not now") as refused:
            credentials(prefect_blocks, ECR, "aws")
        assert remedy in refused.value.remedy


@both
def test_docker_signs_in_where_it_is_signed_in(source: ModuleType, tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"ada:word").decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"team.example": entry}}))
    assert credentials(source, "team.example", "docker") == Credentials("team.example", "ada", "word")


def test_docker_asks_its_credential_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-tests"
    said = json.dumps(dict(zip(("Username", "Secret"), ("ada", "word"), strict=True)))
    helper.write_text(f"#!/bin/sh\necho '{said}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"team.example": "tests"}}))
    found = credentials(prefect_blocks, "team.example", "docker")
    assert found == Credentials("team.example", "ada", "word")


@both
def test_docker_that_is_not_signed_in_says_how_to(source: ModuleType) -> None:
    with pytest.raises(SettingsError, match=r"not signed in at team\.example.*docker login team\.example"):
        credentials(source, "team.example", "docker")


@both
def test_azure_needs_an_identity(source: ModuleType) -> None:
    with pytest.raises(SettingsError, match=r"names no identity for Azure"):
        credentials(source, "myteam.azurecr.io", "azure")


def test_variables_win_in_a_run_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.USERNAME, "bob")
    monkeypatch.setenv(environment.PASSWORD, "word")
    assert credentials(environment, ECR, "aws") == Credentials(ECR, "bob", "word")


def test_a_login_is_asked_again_once_what_it_gave_is_old() -> None:
    numbers = count()
    for kept, given in ((timedelta(minutes=1), ["0", "0"]), (timedelta(0), ["1", "2"])):
        login = briefly_cached(lambda: Credentials("team.example", "ada", str(next(numbers))), kept)
        assert [found and found.password for found in (login(), login())] == given
