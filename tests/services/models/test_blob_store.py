"""What a blob store's refusals become: errors by whose move it is, soon, and never with a secret."""

import base64
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from flows.core.errors import (
    CredentialsRefused,
    ModelNotFound,
    ObjectReplaced,
    PermanentError,
    SettingsError,
    StoreUnavailable,
)
from flows.services.models import azure_blobs, blob_providers, blob_store, s3_buckets
from flows.services.models.blob_store import SMALL, BlobStore

Way = Callable[[BlobStore], object]

WAYS = pytest.mark.parametrize(
    "way",
    [
        pytest.param(lambda store: store.read("tiny/latest.json"), id="read"),
        pytest.param(lambda store: store.list_folder("tiny"), id="list"),
        pytest.param(lambda store: store.create("tiny/claim.json", b"{}"), id="create"),
        pytest.param(lambda store: store.upload("tiny/model.onnx", [bytes(store.part), b"end"]), id="upload"),
    ],
)
WRONG_KEY = base64.b64encode(b"not the key of the account").decode()


@WAYS
def test_a_wrong_key_is_refused_with_what_to_set_where(azurite: str, azure_container: str, way: Way) -> None:
    store = _azure(azurite, azure_container, AccountKey=WRONG_KEY)
    with pytest.raises(CredentialsRefused) as refused:
        way(store)
    assert str(refused.value) == (
        f"The {store.place} refuses access (403 AuthorizationFailure): the key is wrong, or was "
        "replaced. Set a valid connection_string in the Prefect block that [model] credentials in "
        "slipway.toml names, or account_url and an identity with the role 'Storage Blob Data Contributor'."
    )
    _assert_says_no_secret(refused)


@WAYS
def test_a_missing_container_is_reported_with_the_command_that_creates_it(azurite: str, way: Way) -> None:
    store = _azure(azurite, "no-such-container")
    with pytest.raises(ModelNotFound) as missing:
        way(store)
    assert str(missing.value).startswith(f"There is no {store.place}. Create it (az storage container create")


@WAYS
def test_a_missing_bucket_is_reported_with_the_command_that_creates_it(s3_endpoint: str, way: Way) -> None:
    store = s3_buckets.s3(
        "no-such-bucket", region="us-east-1", endpoint=s3_endpoint, access_key_id="k", secret_access_key="s"
    )
    with pytest.raises(
        ModelNotFound, match=r"There is no bucket .* Create it \(aws s3 mb s3://no-such-bucket\)"
    ):
        way(store)


def test_a_missing_folder_is_reported_with_the_command_that_creates_it(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=rf"There is no folder {tmp_path}/no. Create it \(mkdir -p"):
        blob_providers.folder(tmp_path / "no")


@WAYS
def test_a_store_that_is_away_is_noticed(azurite: str, way: Way) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/slipway"
        with pytest.raises(StoreUnavailable, match=r"can't be reached, or broke off \(Connection refused\)"):
            way(_azure(azurite, "models", BlobEndpoint=endpoint))


def test_a_store_that_does_not_take_connections_is_noticed(azurite: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as busy:
        address = busy.getsockname()
        with (
            socket.create_connection(address),  # fills the backlog: who comes now waits
            pytest.raises(StoreUnavailable, match="can't be reached"),
        ):
            _azure(azurite, "models", BlobEndpoint=f"http://127.0.0.1:{address[1]}/slipway").find("x")


def test_an_object_that_is_replaced_while_it_is_read_is_never_mixed(blobs: BlobStore) -> None:
    blobs.upload("model.onnx", [bytes(blobs.part)] * 6)
    arriving = blobs.download(blobs.list_root()[0])
    next(arriving)
    blobs.replace("model.onnx", b"1" * 6 * blobs.part)
    with pytest.raises(ObjectReplaced):
        list(arriving)


def test_an_upload_whose_source_fails_leaves_nothing(blobs: BlobStore) -> None:
    def failing() -> object:
        yield bytes(blobs.part)
        yield bytes(blobs.part)
        raise KeyError("the source")

    with pytest.raises(KeyError):
        blobs.upload("tiny/model.onnx", failing())  # type: ignore[arg-type] # yields bytes, then fails
    assert blobs.list_folder("tiny") == []


def test_an_object_that_is_too_large_to_be_a_note_is_not_read(blobs: BlobStore) -> None:
    blobs.replace("latest.json", bytes(SMALL))
    assert blobs.read("latest.json") == bytes(SMALL)
    blobs.replace("latest.json", bytes(SMALL + 1))
    with pytest.raises(PermanentError, match=f"latest.json in .* has {SMALL + 1} bytes; at most {SMALL}"):
        blobs.read("latest.json")


def test_only_the_first_creates_an_object(blobs: BlobStore) -> None:
    assert blobs.create("claim.json", b"first")
    assert not blobs.create("claim.json", b"second")
    assert blobs.read("claim.json") == b"first"


def test_a_shared_access_signature_is_accepted(azurite: str, azure_container: str) -> None:
    store = _azure(azurite, azure_container, SharedAccessSignature=_signature(azurite, hours=1))
    store.replace("x", b"1")
    assert store.read("x") == b"1"


def test_an_expired_shared_access_signature_is_refused_without_telling_it(
    azurite: str, azure_container: str
) -> None:
    store = _azure(azurite, azure_container, SharedAccessSignature=_signature(azurite, hours=-1))
    with pytest.raises(CredentialsRefused, match="refuses access") as refused:
        store.read("x")
    _assert_says_no_secret(refused)


@pytest.mark.parametrize(
    ("connection_string", "message"),
    [
        (None, "There are no credentials for the blob store."),
        ("hello", "The blob store's connection string is malformed."),
        (
            "AccountName=a;EndpointSuffix=core.windows.net",
            "The blob store's connection string holds neither AccountKey nor SharedAccessSignature.",
        ),
        ("AccountName=a;AccountKey=s3cret!", "The blob store's credentials are malformed."),
        ("AccountName=a;AccountKey=AAAA;BlobEndpoint=s3cret", "The blob store's credentials are malformed."),
    ],
)
def test_credentials_that_cannot_be_right_are_refused_before_anything_is_sent(
    connection_string: str | None, message: str
) -> None:
    with pytest.raises(SettingsError) as wrong:
        azure_blobs.azure("models", connection_string=connection_string)
    assert str(wrong.value).startswith(f"{message} Set a valid connection_string in the Prefect block")
    assert "s3cret" not in str(wrong.value)


def _azure(connection_string: str, container: str, **changes: str) -> BlobStore:
    fields = dict(field.split("=", 1) for field in connection_string.rstrip(";").split(";")) | changes
    if "SharedAccessSignature" in changes:
        del fields["AccountKey"]
    changed = ";".join(f"{key}={value}" for key, value in fields.items())
    return azure_blobs.azure(container, connection_string=changed)


def _signature(connection_string: str, *, hours: int) -> str:
    fields = dict(field.split("=", 1) for field in connection_string.rstrip(";").split(";"))
    return generate_account_sas(
        fields["AccountName"],
        fields["AccountKey"],
        ResourceTypes(object=True, container=True),
        AccountSasPermissions(read=True, write=True, create=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=hours),
    )


def _assert_says_no_secret(raised: pytest.ExceptionInfo[Exception]) -> None:
    everything = str(raised.getrepr(style="short"))
    assert WRONG_KEY not in everything
    assert not re.search(r"sig=|Signature=|SharedKey", everything)


def test_a_folder_with_more_objects_than_any_team_has_is_refused(
    folder: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_store, "MOST", 2)
    for number in range(3):
        assert len(folder.list_folder("tiny")) == number
        folder.replace(f"tiny/{number}", b"")
    with pytest.raises(PermanentError, match=r"tiny in folder .* holds more than 2 objects"):
        folder.list_folder("tiny")


def test_an_object_that_does_not_come_in_time_is_an_outage(
    folder: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_store, "FIRST_BYTE", -4)
    given_up = Event()

    def never_comes(*_: object) -> bytes:
        given_up.wait(10)
        return b"{}"

    monkeypatch.setattr(BlobStore, "_small", never_comes)
    with pytest.raises(StoreUnavailable, match=r"latest.json in .* did not come within 0 s"):
        folder.read("latest.json")
    given_up.set()
