"""Signing in at Entra ID as each kind of identity, by Azure's own library."""

import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from flows.core.errors import CredentialsRefused
from flows.services.azure.identity import REGISTRY, STORAGE
from tests.services.azure.signing_in import CLIENT, ISSUER, WORKER, identity, install_az, workload
from tests.stand_ins.entra import SYSTEM_ASSIGNED, Entra


def claims(directory: Entra, token: str) -> dict[str, Any]:
    """What the token says; it is one of this directory's for Blob Storage."""
    said: dict[str, Any] = jwt.decode(
        token, directory.public_key, ["RS256"], audience="https://storage.azure.com"
    )
    return said


def test_a_service_principal_signs_in_with_its_secret(directory: Entra) -> None:
    token = directory.identity(CLIENT).token(STORAGE)

    assert claims(directory, token.value)["appid"] == CLIENT
    assert claims(directory, token.value)["exp"] == pytest.approx(token.expires_at.timestamp(), abs=5)


def test_a_service_principal_signs_in_with_its_certificate(directory: Entra) -> None:
    pem = directory.certificate(CLIENT)

    token = identity(directory, "service-principal", pem).token(STORAGE)

    assert claims(directory, token.value)["appid"] == CLIENT


def test_a_workload_signs_in_with_the_token_of_its_pod(
    directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.federated.add((CLIENT, ISSUER, WORKER))
    pod = workload(directory, tmp_path / "token", monkeypatch, directory.federated_token(ISSUER, WORKER))

    assert claims(directory, pod.token(STORAGE).value)["appid"] == CLIENT


def test_a_workload_never_asks_the_machine(
    directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = workload(directory, tmp_path / "token", monkeypatch, directory.federated_token(ISSUER, WORKER))
    with pytest.raises(CredentialsRefused):
        pod.token(STORAGE)

    assert directory.asked
    assert all(one.path.startswith(f"/{directory.tenant}/") for one in directory.asked)


def test_the_token_of_a_pod_is_read_again_after_it_was_replaced(
    directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.federated.add((CLIENT, ISSUER, WORKER))
    first, second = (directory.federated_token(ISSUER, WORKER, jti=name) for name in ("first", "second"))
    pod = workload(directory, tmp_path / "token", monkeypatch, first)
    pod.token(STORAGE)
    (tmp_path / "token").write_text(second)
    pod.token(REGISTRY)  # the first one is still in memory

    shown = [one.fields["client_assertion"] for one in directory.asked if one.method == "POST"]
    assert shown == [first, second]


@pytest.mark.parametrize("client_id", [None, CLIENT], ids=["system-assigned", "user-assigned"])
@pytest.mark.parametrize("endpoint", ["IMDS", "App Service"])
def test_a_machine_signs_in(
    endpoint: str, client_id: str | None, directory: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.machine = {SYSTEM_ASSIGNED, CLIENT}
    if endpoint == "App Service":
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{directory.metadata}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header")

    token = identity(directory, "managed", client_id=client_id).token(STORAGE)

    assert claims(directory, token.value)["appid"] == (client_id or SYSTEM_ASSIGNED)
    assert {one.path for one in directory.asked} == {
        "/msi/token" if endpoint == "App Service" else "/metadata/identity/oauth2/token"
    }


def test_the_account_of_az_login_signs_in(
    directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = directory.token("https://storage.azure.com", CLIENT)
    answer = json.dumps({"accessToken": token, "expires_on": 4102444800, "tokenType": "Bearer"})
    install_az(tmp_path, monkeypatch, f"cat <<'END'\n{answer}\nEND\n")

    assert identity(directory, "azure-cli").token(STORAGE).value == token


def test_a_token_that_ends_within_minutes_is_asked_for_again(directory: Entra) -> None:
    directory.lifetime = 200
    principal = directory.identity(CLIENT)

    assert principal.token(STORAGE).value != principal.token(STORAGE).value


def test_a_token_that_lasts_is_asked_for_once(directory: Entra) -> None:
    principal = directory.identity(CLIENT)

    assert principal.token(STORAGE).value == principal.token(STORAGE).value
