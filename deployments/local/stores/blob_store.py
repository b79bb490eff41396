"""The platform's own blob store: Azurite, which speaks Azure Blob Storage, in a container."""

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import docker
import httpx

from deployments.local.docker.engine import Container, ensure_container
from deployments.local.instance import Instance
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from flows.config.load import Settings
from flows.services.process.files import write_private
from flows.services.process.tls import NO_TLS

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

ROLE = "blob-store"
ACCOUNT = "slipway"
RESULTS = "slipway-results"
"""The container for cached test results, which the block has that `[results] storage` named."""

START_TIMEOUT = 60


@dataclass(frozen=True)
class BlobStoreAccess:
    """An Azure storage account: its endpoint for blobs, and its key in base64."""

    endpoint: str
    key: str = field(repr=False)

    @property
    def connection_string(self) -> str:
        """All of it in the form that Azure's portal hands out."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={self.key};"
            f"BlobEndpoint={self.endpoint};"
        )


def up(
    client: docker.DockerClient, instance: Instance, image: str, wanted: tuple[str, ...], _say: Say
) -> BlobStoreAccess:
    """The running store with those containers in it; its blobs survive in a volume."""
    access = ensure_access(instance)
    ensure_container(
        client,
        instance,
        Container(
            role=ROLE,
            image=image,
            environment={"AZURITE_ACCOUNTS": f"{ACCOUNT}:{access.key}"},
            volumes={ROLE: "/data"},
            ports={10000: instance.ports.blob_store_port},
        ),
    )
    wait_until(
        lambda: _answers(access),
        START_TIMEOUT,
        f"The blob store at {access.endpoint} does not answer",
        f"Read its log (docker logs {instance.container(ROLE)}), then run this again.",
    )
    for name in wanted:
        _ensure_container(access, name)
    return access


def containers(settings: Settings) -> tuple[str, ...]:
    """The containers that slipway.toml names without an account, and `RESULTS`."""
    addresses = (settings.model.address, settings.results.address)
    own = [one.container for one in addresses if one and one.kind == "az" and one.account is None]
    return tuple(dict.fromkeys((*own, RESULTS)))


def ensure_access(instance: Instance) -> BlobStoreAccess:
    """The account, with a key made the first time."""
    file = instance.state / "blob-store" / "account-key"
    if not file.exists():
        write_private(file, base64.b64encode(secrets.token_bytes(64)))
    return BlobStoreAccess(f"http://127.0.0.1:{instance.ports.blob_store_port}/{ACCOUNT}", file.read_text())


def holds_model(access: BlobStoreAccess, container: str, name: str) -> bool:
    """Whether CI would find a model there: a published one or a plain file, not an upload that broke off."""
    with _container(access, container) as blobs:
        found = {str(blob) for blob in blobs.list_blob_names(name_starts_with=f"{name}/")}
    claimed = {path.rpartition("/")[0] for path in found if path.endswith("/claim.json")}
    plain = {path for path in found if path.endswith(".onnx") and path.rpartition("/")[0] not in claimed}
    return f"{name}/latest.json" in found or bool(plain)


def _ensure_container(access: BlobStoreAccess, name: str) -> None:
    with _container(access, name) as container:
        if not container.exists():
            container.create_container()


def _container(access: BlobStoreAccess, name: str) -> "ContainerClient":
    from azure.storage.blob import ContainerClient  # noqa: PLC0415  # half a second that only this step pays

    return ContainerClient.from_connection_string(access.connection_string, name)


def _answers(access: BlobStoreAccess) -> bool:
    try:
        return bool(httpx.get(access.endpoint, timeout=5, trust_env=False, verify=NO_TLS).status_code)
    except httpx.TransportError:
        return False
