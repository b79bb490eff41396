"""Signing in to a blob store without its key: as a service principal, or as what the machine is."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from docker.models.containers import Container

from deployments.local.cluster.certificates import Subject, ensure_authority
from deployments.local.docker import images
from deployments.local.docker.engine import connect
from deployments.local.instance import Instance
from deployments.local.wait import wait_until
from flows.core.errors import CredentialsRefused
from flows.services.models import blob_providers
from tests.stand_ins.azure_identity import azure_identity

ACCOUNT, KEY = "account", "a2V5"
COMMAND = (
    "--blobHost 0.0.0.0 --location /data --skipApiVersionCheck --disableTelemetry "
    "--oauth basic --cert /tls/server.crt --key /tls/server.key"
)


@dataclass(frozen=True)
class Account:
    """A storage account that takes tokens, over HTTPS only."""

    url: str
    authority: Path
    tls: ssl.SSLContext


@pytest.fixture(scope="module")
def account(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Azurite with OAuth, and in it the container `models`."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = ensure_authority(folder / "authority")
    authority.ensure(folder / "server", "server", Subject("azurite", hosts=("127.0.0.1",)))
    client = connect()
    container = client.containers.run(
        images.ensure(client, images.AZURITE, print),
        COMMAND.split(),
        name=instance.container("token-blob-store"),
        labels=instance.labels,
        environment={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        volumes={str(folder / "server"): {"bind": "/tls", "mode": "ro"}},
        ports={"10000/tcp": ("127.0.0.1", 0)},
        user="root",  # whose key it is
        detach=True,
    )
    try:
        trusted = ssl.create_default_context(cafile=folder / "authority" / "ca.crt")
        url = f"https://127.0.0.1:{_port(container)}/{ACCOUNT}"
        wait_until(lambda: _answers(url, trusted), 60, f"{url} does not answer")
        _create_container(url, folder / "authority" / "ca.crt")
        serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        serving.load_cert_chain(folder / "server" / "server.crt", folder / "server" / "server.key")
        yield Account(url, folder / "authority" / "ca.crt", serving)
    finally:
        container.remove(force=True, v=True)


@pytest.fixture(autouse=True)
def trust(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine trusts who issued the certificates, and is nobody in Azure."""
    monkeypatch.setenv("SSL_CERT_FILE", str(account.authority))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    for variable in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(variable, raising=False)


def test_a_service_principal_signs_in(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    with azure_identity(account.tls) as identity:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", identity.url)
        store = blob_providers.azure(
            "models",
            account_url=account.url,
            tenant_id="tenant",
            client_id="pipeline",
            client_secret="s3cret",
        )
        store.replace("principal", b"1")

        assert store.read("principal") == b"1"
    assert identity.asked[0].startswith("POST /tenant/oauth2/v2.0/token")
    assert "client_id=pipeline" in identity.asked[0]


def test_a_machine_with_a_managed_identity_signs_in(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with azure_identity() as identity:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        store = blob_providers.azure("models", account_url=account.url)
        store.replace("managed", b"1")

        assert store.read("managed") == b"1"
    assert len(identity.asked) == 1
    assert "resource=https://storage.azure.com" in identity.asked[0]


def test_a_machine_that_is_nobody_is_told_what_to_set(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # else it asks beyond this machine
    store = blob_providers.azure("models", account_url=account.url)
    with pytest.raises(CredentialsRefused, match="no identity was found on this machine"):
        store.read("latest.json")


def _port(container: Container) -> int:
    container.reload()
    published = container.ports["10000/tcp"]
    assert published, "it has just been started with that port"
    return int(published[0]["HostPort"])


def _answers(url: str, trusted: ssl.SSLContext) -> bool:
    try:
        return bool(httpx.get(url, verify=trusted, trust_env=False).status_code)
    except httpx.TransportError:
        return False


def _create_container(url: str, authority: Path) -> None:
    credential = {"account_name": ACCOUNT, "account_key": KEY}
    with BlobServiceClient(url, credential=credential, connection_verify=str(authority)) as service:
        service.create_container("models")
