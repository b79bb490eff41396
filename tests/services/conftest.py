"""Real blob stores (Azurite, moto's S3 server, a folder), a real engine and cluster; what each test uses of
them is its own."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from deployments.local.docker import images as platform_images
from deployments.local.docker.engine import connect
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from flows.services.images.container_engine import Build, ContainerEngine
from flows.services.models import blob_providers
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Credentials
from tests.services.a_namespace import Namespace, prepared_namespace
from tests.stand_ins.s3_server import s3_server

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
    return replace(blob_providers.azure(azure_container, connection_string=azurite), part=SMALL)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 server's address."""
    with s3_server() as address:
        yield address


@pytest.fixture
def s3(s3_endpoint: str) -> BlobStore:
    """An empty bucket of S3."""
    name = f"models-{uuid.uuid4().hex[:12]}"
    httpx.put(f"{s3_endpoint}/{name}", trust_env=False).raise_for_status()
    store = blob_providers.s3(
        name, region="us-east-1", endpoint=s3_endpoint, access_key_id="key", secret_access_key="secret"
    )
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
    """The way into the test platform's registry."""
    return Credentials(registry.address, registry.username, registry.password)


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
