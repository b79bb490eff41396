import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient

from deployments.local.docker.engine import connect, find_container
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.stores import blob_store as embedded
from deployments.local.stores.blob_store import BlobStoreAccess, holds_model
from tests.support.preparing import BringUpParts

pytestmark = pytest.mark.exclusive


def container(access: BlobStoreAccess) -> ContainerClient:
    return ContainerClient.from_connection_string(access.connection_string, "models")


def test_it_has_the_container_for_models(blob_store: BlobStoreAccess) -> None:
    assert container(blob_store).exists()


def test_it_wants_the_account_key(blob_store: BlobStoreAccess) -> None:
    wrong = {"account_name": "slipway", "account_key": "eA=="}
    stranger = BlobServiceClient(blob_store.endpoint, credential=wrong)
    with pytest.raises(HttpResponseError, match="AuthorizationFailure"):
        stranger.get_service_properties()


def test_it_knows_whether_a_model_was_published(blob_store: BlobStoreAccess) -> None:
    assert not holds_model(blob_store, "models", "digits")
    container(blob_store).upload_blob("digits/latest.json", b"{}")
    assert holds_model(blob_store, "models", "digits")
    assert not holds_model(blob_store, "models", "digit")


def test_a_publish_that_broke_off_is_no_model_and_a_plain_file_is(blob_store: BlobStoreAccess) -> None:
    for left in ("claim.json", "model.onnx"):
        container(blob_store).upload_blob(f"broken-off/1.0.0/{left}", b"{}")
    assert not holds_model(blob_store, "models", "broken-off")
    container(blob_store).upload_blob("plain/model.onnx", b"")
    assert holds_model(blob_store, "models", "plain")


def test_blobs_survive_the_container(
    blob_store: BlobStoreAccess, bring_up: BringUpParts, instance: Instance
) -> None:
    container(blob_store).upload_blob("kept", b"content", overwrite=True)
    running = find_container(connect(), instance, embedded.ROLE)
    assert running
    running.stop()
    running.remove()
    assert bring_up(BringUp.store).result() == blob_store
    assert container(blob_store).download_blob("kept").readall() == b"content"
