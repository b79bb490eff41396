"""A storage account that lets tokens in: Azurite with OAuth, which is not the platform's."""

import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from azure.storage.blob import BlobServiceClient
from docker.models.containers import Container

from deployments.local.cluster.certificates import Subject, ensure_authority
from deployments.local.docker import images
from deployments.local.docker.engine import connect
from deployments.local.instance import Instance
from tests.support.waiting import wait_until

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


@contextmanager
def token_blob_store(instance: Instance, folder: Path) -> Iterator[Account]:
    """It has the container `models`; its certificates are below that folder."""
    authority = ensure_authority(folder / "authority")
    authority.ensure(folder / "server", "server", Subject("azurite", hosts=("127.0.0.1",)))
    client = connect()
    container = client.containers.run(
        images.ensure(client, images.AZURITE, print),
        COMMAND.split(),
        name=instance.container(f"token-blob-store-{uuid.uuid4().hex[:6]}"),
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
        wait_until(lambda: _answers(url, trusted), f"{url} does not answer")
        _create_container(url, folder / "authority" / "ca.crt")
        yield Account(url, folder / "authority" / "ca.crt")
    finally:
        container.remove(force=True, v=True)


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
