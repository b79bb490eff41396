"""Which store remembers the tests that passed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem
from prefect_azure import AzureBlobStorageCredentials
from prefect_azure.blob_storage import AzureBlobStorageContainer

from deployments.local.stores.blob_store import RESULTS, BlobStoreAccess
from deployments.prefect.api import PrefectApi
from flows.config.schema import Results
from flows.core.errors import SettingsError
from flows.credentials.prefect_blocks import results_storage
from flows.services.models.blob_store import BlobStore
from tests.support.prefect_client import talking_to

pytestmark = pytest.mark.exclusive


@pytest.fixture(autouse=True)
def this_server(prefect_server: PrefectApi) -> Iterator[None]:
    with talking_to(prefect_server):
        yield


def storage(block: str) -> tuple[BlobStore, str]:
    found = results_storage(Results(storage=block))
    assert found is not None
    return found


def test_a_folder_is_made_when_it_is_first_used(tmp_path: Path) -> None:
    LocalFileSystem(basepath=str(tmp_path / "results")).save("kept-here", overwrite=True)
    blobs, folder = storage("local-file-system/kept-here")
    blobs.replace("a", b"content")
    assert (tmp_path / "results" / "a").read_bytes() == b"content"
    assert folder == ""


def test_a_container_of_azure_is_reached_with_the_credentials_in_its_block(
    blob_store: BlobStoreAccess,
) -> None:
    credentials = {"connection_string": blob_store.connection_string}
    container = AzureBlobStorageContainer(
        container_name=RESULTS, credentials=credentials, base_folder="our team"
    )
    container.save("kept-there", overwrite=True)
    blobs, folder = storage("azure-blob-storage-container/kept-there")
    assert folder == "our team"
    blobs.replace("a", b"content")
    assert blobs.read("a") == b"content"


def test_a_container_is_named_by_the_settings_and_its_credentials_by_a_block(
    blob_store: BlobStoreAccess,
) -> None:
    credentials = AzureBlobStorageCredentials(connection_string=blob_store.connection_string)
    credentials.save("for-results", overwrite=True)
    found = results_storage(Results(store=f"az://{RESULTS}", credentials="for-results"))
    assert found is not None
    blobs, folder = found
    blobs.replace("b", b"content")
    assert (blobs.read("b"), folder) == (b"content", "")


def test_a_folder_of_the_settings_is_made_when_it_is_first_used(tmp_path: Path) -> None:
    found = results_storage(Results(store=f"file://{tmp_path}/new/results"))
    assert found is not None
    found[0].replace("a", b"content")
    assert (tmp_path / "new" / "results" / "a").read_bytes() == b"content"


def test_without_a_store_this_machine_remembers() -> None:
    assert results_storage(Results()) is None


def test_a_block_that_is_not_there_is_named_with_its_place_in_slipway_toml() -> None:
    with pytest.raises(SettingsError, match=r"no block local-file-system/nowhere.*\[results\] storage"):
        storage("local-file-system/nowhere")
