"""Signing in to a bucket without keys in a block: as AWS's own tools do on this machine."""

import uuid
from pathlib import Path

import httpx
import pytest

from flows.core.errors import CredentialsRefused, SettingsError
from flows.core.model.store_address import StoreAddress
from flows.services.models import blob_providers
from flows.services.models.azure_blobs import NO_IDENTITY
from flows.services.models.blob_store import BlobStore

KEYS = "aws_access_key_id = {0}\naws_secret_access_key = secret\n"
ROLE = "arn:aws:iam::123456789012:role/ci"


@pytest.fixture(autouse=True)
def own_configuration(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a machine that is signed in to nothing; its AWS is here."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text(f"[ci]\n{KEYS.format('OFCI')}")
    (tmp_path / "config").write_text(
        f"[profile ci]\nregion = eu-west-1\n"
        f"[profile release]\nrole_arn = {ROLE}\nsource_profile = ci\nregion = eu-west-1\n"
    )
    for name, value in {
        "SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "CONFIG_FILE": str(tmp_path / "config"),
        "EC2_METADATA_DISABLED": "true",
        "ENDPOINT_URL": s3_endpoint,
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.fixture
def address(s3_endpoint: str) -> StoreAddress:
    """Of an empty bucket."""
    bucket = f"models-{uuid.uuid4().hex[:8]}"
    httpx.put(f"{s3_endpoint}/{bucket}", trust_env=False).raise_for_status()
    return StoreAddress("s3", bucket)


def signed_in_as(store: BlobStore) -> str:
    """The key id that the store is used with, after it was written to and read."""
    store.replace("x", b"1")
    assert store.read("x") == b"1"
    assert store.sign_in is not None
    return str(store.sign_in()["access_key_id"])


def test_a_profile_signs_in(address: StoreAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "ci")
    assert signed_in_as(blob_providers.opened(address, None, NO_IDENTITY)) == "OFCI"


def test_a_block_names_a_profile(address: StoreAddress) -> None:
    assert signed_in_as(blob_providers.opened(address, {"profile_name": "ci"}, NO_IDENTITY)) == "OFCI"


def test_a_profile_takes_on_a_role(address: StoreAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "release")
    key = signed_in_as(blob_providers.opened(address, None, NO_IDENTITY))
    assert key.startswith("ASIA")  # of a session


def test_a_web_identity_signs_in(
    address: StoreAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("header.claims.signature")
    for name, value in {
        "WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "ROLE_ARN": ROLE,
        "REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    key = signed_in_as(blob_providers.opened(address, None, NO_IDENTITY))
    assert key.startswith("ASIA")


def test_a_machine_that_is_signed_in_to_nothing_learns_what_to_do(
    address: StoreAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    store = blob_providers.opened(address, None, NO_IDENTITY)
    with pytest.raises(CredentialsRefused, match=r"AWS found no credentials on this machine\. Set .*aws sso"):
        store.read("x")


def test_a_profile_that_is_not_there_is_named(address: StoreAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nightly")
    with pytest.raises(SettingsError, match=r"profile .nightly. could not be found"):
        blob_providers.opened(address, None, NO_IDENTITY)


def test_a_region_that_nothing_names_is_asked_for(address: StoreAddress) -> None:
    with pytest.raises(SettingsError, match=r"The region of bucket .* is not known\. .* set AWS_REGION"):
        blob_providers.opened(address, None, NO_IDENTITY)
