"""Real blob stores (Azurite, moto's S3 server, a folder), a real engine and cluster; what each test uses of
them is its own."""

import json
import shutil
import ssl
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from deployments.local.cluster.certificates import Subject, ensure_authority
from deployments.local.docker import images as platform_images
from deployments.local.docker.engine import connect
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from flows.core.model.store_address import StoreAddress
from flows.services.images.container_engine import Build, ContainerEngine
from flows.services.models import azure_blobs, blob_providers
from flows.services.models.azure_blobs import NO_IDENTITY
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Credentials
from tests.services.a_namespace import Namespace, prepared_namespace
from tests.stand_ins.s3_server import s3_server
from tests.stand_ins.versioned_blobs import versioned_blobs

TESTS = Path(__file__).parent.parent
TEAM_APP = TESTS / "flows" / "team_app"
DIGITS = TESTS / "app" / "models" / "digits"

# Bytes of a part: small, so that a file of several parts is.
SMALL = 1 << 20
SMALLEST_OF_S3 = 5 << 20


@pytest.fixture(scope="session")
def azurite(blob_store: BlobStoreAccess) -> str:
    """The connection string of the test platform's Azurite."""
    return blob_store.connection_string


@pytest.fixture
def azure_container(azurite: str) -> str:
    """The name of an empty container."""
    name = f"models-{uuid.uuid4().hex[:12]}"
    with BlobServiceClient.from_connection_string(azurite) as service:
        service.create_container(name)
    return name


@pytest.fixture
def azure(azurite: str, azure_container: str) -> BlobStore:
    """An empty container of Azure Blob Storage."""
    return replace(azure_blobs.azure(azure_container, connection_string=azurite), part=SMALL)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 server's address."""
    with s3_server() as address:
        yield address


@pytest.fixture
def s3_bucket(s3_endpoint: str) -> str:
    """The name of an empty bucket."""
    name = f"models-{uuid.uuid4().hex[:12]}"
    httpx.put(f"{s3_endpoint}/{name}", trust_env=False).raise_for_status()
    return name


@pytest.fixture
def s3_block(s3_endpoint: str) -> dict[str, object]:
    """What an AwsCredentials block for that server holds."""
    return {
        "region_name": "us-east-1",
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "aws_client_parameters": {"endpoint_url": s3_endpoint},
    }


@pytest.fixture
def s3(s3_bucket: str, s3_block: dict[str, object]) -> BlobStore:
    """An empty bucket of S3."""
    store = blob_providers.opened(StoreAddress("s3", s3_bucket), s3_block, NO_IDENTITY)
    return replace(store, part=SMALLEST_OF_S3)


@pytest.fixture
def folder(tmp_path: Path) -> BlobStore:
    """An empty folder."""
    path = tmp_path / "store"
    path.mkdir()
    return replace(blob_providers.folder(path), part=SMALL)


@pytest.fixture(params=["azure", "s3", "folder"])
def blobs(request: pytest.FixtureRequest) -> BlobStore:
    """An empty container of every kind in turn."""
    store = request.getfixturevalue(request.param)
    assert isinstance(store, BlobStore)
    return store


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.crt`, and `server.crt` and `server.key` for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = ensure_authority(folder)
    authority.ensure(folder, "server", Subject("a store", hosts=("127.0.0.1",)))
    return folder


@pytest.fixture
def trusted_server(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's side of connections to 127.0.0.1, which this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.crt"))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    return server


@pytest.fixture
def versioned_azure(
    azurite: str, azure_container: str, trusted_server: ssl.SSLContext
) -> Iterator[BlobStore]:
    """An empty container of Azure Blob Storage that keeps versions."""
    endpoint = azurite.partition("BlobEndpoint=")[2].split(";")[0]
    with versioned_blobs(endpoint, trusted_server) as front:
        through = azurite.replace(endpoint, front)
        yield replace(azure_blobs.azure(azure_container, connection_string=through), part=SMALL)


@pytest.fixture
def versioned_s3(s3: BlobStore, s3_bucket: str, s3_endpoint: str) -> BlobStore:
    """An empty bucket of S3 that keeps versions."""
    enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    httpx.put(f"{s3_endpoint}/{s3_bucket}?versioning", content=enabled, trust_env=False).raise_for_status()
    return s3


@pytest.fixture(params=["versioned_azure", "versioned_s3"])
def versioned(request: pytest.FixtureRequest) -> BlobStore:
    """An empty container of every kind that keeps versions in turn."""
    store = request.getfixturevalue(request.param)
    assert isinstance(store, BlobStore)
    return store


Context = Callable[..., Path]
"""Lays the smallest app out, by name, with this behaviour."""


@pytest.fixture
def engine() -> Iterator[ContainerEngine]:
    """The machine's container engine, for a run that leaves nothing behind."""
    engine = ContainerEngine(None, uuid.uuid4().hex)
    yield engine
    engine.remove_containers()


@pytest.fixture(scope="session")
def base_image() -> str:
    """What the smallest app stands on."""
    return platform_images.ensure(connect(), "base", print)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Lays out the smallest app with the digits' manifest; it never opens the model itself."""

    def lay_out(name: str = "context", **behaviour: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(TEAM_APP, folder)
        content = {"app": "good", "where": "", "tests": "pass", **behaviour}
        (folder / "behaviour.json").write_text(json.dumps(content))
        (folder / "model").mkdir()
        shutil.copy(DIGITS / "manifest.json", folder / "model")
        return folder

    return lay_out


def build(folder: Path, base_image: str, target: str | None = None, **arguments: str) -> Build:
    """The image of what was laid out."""
    tag = f"slipway-test:{folder.name}"
    return Build(folder, "Dockerfile", tag, target, {"BASE_IMAGE": base_image, **arguments})


@pytest.fixture(scope="session")
def registry_login(registry: RegistryAccess) -> Credentials:
    """The way into the test platform's registry for those that only pull."""
    return Credentials(registry.address, registry.pull_username, registry.pull_password)


@pytest.fixture(scope="session")
def some_namespace(
    cluster: Path, registry_login: Credentials, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Namespace]:
    """A prepared namespace that is there to the end.

    When the last policy that reads Leases goes, the API server stops to watch them, and no later policy makes
    it start again (1.34: policy_source.go starts an informer of a shared factory, which runs once).
    """
    with prepared_namespace(cluster, tmp_path_factory.mktemp("some-namespace"), registry_login) as found:
        yield found


@pytest.fixture
def namespace(
    cluster: Path, registry_login: Credentials, some_namespace: Namespace, tmp_path: Path
) -> Iterator[Namespace]:
    """A namespace prepared for releases, with the way into the registry."""
    with prepared_namespace(cluster, tmp_path, registry_login) as found:
        yield found
