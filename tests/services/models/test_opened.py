"""Stores by their address: which credentials each takes, and which it refuses."""

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from flows.core.errors import ModelNotFound, SettingsError
from flows.core.model.store_address import StoreAddress
from flows.services.azure.cloud import CLOUDS
from flows.services.azure.identity import AzureIdentity
from flows.services.models.azure_blobs import NO_IDENTITY, AzureAccess
from flows.services.models.blob_providers import opened

AZ_LOGIN = AzureAccess(identity=AzureIdentity("azure-cli", CLOUDS["public"]))
KEY = base64.b64encode(b"the key of an account").decode()
ACME = {"connection_string": f"AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net"}
SIGNATURE = base64.b64encode(bytes(32)).decode().replace("=", "%3D")


def at(text: str) -> StoreAddress:
    return StoreAddress.parse(text)


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("az://models", ACME),
        ("az://acme/models", ACME),
        ("az://acme/models", {"account_url": "https://acme.blob.core.windows.net/"}),
        ("az://acme/models", None),
        ("az://acme/models", {"account_url": None, "connection_string": None}),
        ("az://acme.blob.core.windows.net/models", None),
    ],
)
def test_the_account_is_the_one_of_the_address_or_of_the_block(
    address: str, block: dict[str, str | None] | None
) -> None:
    place = opened(at(address), block, AZ_LOGIN).place
    assert place == "container 'models' at https://acme.blob.core.windows.net"


def test_the_account_is_in_the_cloud_of_the_settings() -> None:
    access = replace(AZ_LOGIN, cloud=CLOUDS["china"])
    assert opened(at("az://acme/models"), None, access).place.endswith("acme.blob.core.chinacloudapi.cn")


@pytest.mark.parametrize("block", [ACME, {"account_url": "https://acme.blob.core.windows.net"}])
def test_a_block_of_another_account_is_refused_before_anything_is_sent(block: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        opened(at("az://other/models"), block, AZ_LOGIN, "results")
    assert str(refused.value) == (
        "The block of [results] credentials is for https://acme.blob.core.windows.net, but [results] store "
        "is az://other/models. Correct the one that is wrong."
    )


def test_an_account_without_block_and_identity_says_what_to_set() -> None:
    with pytest.raises(
        SettingsError, match=r"Set \[azure\] identity, or name a block at \[model\] credentials"
    ):
        opened(at("az://acme/models"), None, NO_IDENTITY)


@pytest.mark.parametrize(
    "signature",
    [
        f"sv=2024-08-04&sp=rl&sig={SIGNATURE}",
        f"sv=2024-08-04&se=2030-01-01&sp=rl&sig={SIGNATURE[:20]}",
        "sv=2024-08-04&se=2030-01-01&sp=rl",
        f"se=2030-01-01&sp=rl&sig={SIGNATURE}",
        "https://acme.blob.core.windows.net",
    ],
)
def test_a_shared_access_signature_that_is_not_whole_is_refused_when_it_is_read(signature: str) -> None:
    text = f"BlobEndpoint=https://acme.blob.core.windows.net;SharedAccessSignature={signature}"
    with pytest.raises(
        SettingsError, match="shared access signature is malformed: a part of it is missing"
    ) as no:
        opened(at("az://models"), {"connection_string": text}, NO_IDENTITY)
    assert SIGNATURE not in str(no.value)


@pytest.mark.parametrize("prefix", ["", "?"])
def test_a_whole_shared_access_signature_is_taken_with_and_without_its_mark(prefix: str) -> None:
    signature = f"{prefix}sv=2024-08-04&se=2030-01-01&sp=rl&sig={SIGNATURE}"
    text = f"BlobEndpoint=https://acme.blob.core.windows.net;SharedAccessSignature={signature}"
    assert opened(at("az://models"), {"connection_string": text}, NO_IDENTITY)


def test_a_store_below_a_folder_sees_nothing_beside_it(s3_bucket: str, s3_block: dict[str, object]) -> None:
    whole = opened(at(f"s3://{s3_bucket}"), s3_block, NO_IDENTITY)
    part = opened(at(f"s3://{s3_bucket}/teams/ours"), s3_block, NO_IDENTITY)
    part.replace("tiny/latest.json", b"{}")
    whole.replace("tiny/theirs.json", b"{}")

    assert whole.read("teams/ours/tiny/latest.json") == b"{}"
    assert [blob.path for blob in part.list_folder("tiny")] == ["tiny/latest.json"]


def test_a_folder_needs_no_credentials(tmp_path: Path) -> None:
    store = opened(at(f"file://{tmp_path}"), None, NO_IDENTITY)
    store.replace("tiny/latest.json", b"{}")
    assert (tmp_path / "tiny" / "latest.json").read_bytes() == b"{}"
    with pytest.raises(ModelNotFound, match=r"There is no folder .*/not-there\. Create it"):
        opened(at(f"file://{tmp_path}/not-there"), None, NO_IDENTITY)
