"""Real blob stores: Azurite, moto's S3 server, a folder; each test has a container of its own.

And a real cluster, of which each test has a namespace of its own.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from moto.server import ThreadedMotoServer

from deployments.local.blob_store import BlobStoreAccess
from deployments.local.registry import RegistryAccess
from flows.services import blob_providers
from flows.services.blob_store import BlobStore
from flows.services.registry import Credentials
from tests.services.a_namespace import Namespace, prepared_namespace

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
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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


@pytest.fixture
def namespace(cluster: Path, registry: RegistryAccess, tmp_path: Path) -> Iterator[Namespace]:
    """A namespace prepared for releases, with the way into the registry."""
    login = Credentials(registry.address, registry.username, registry.password)
    with prepared_namespace(cluster, tmp_path, login) as found:
        yield found
