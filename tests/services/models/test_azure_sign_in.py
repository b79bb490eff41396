"""Signing in to a blob store without its key: as a service principal, or as what the machine is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.local.instance import Instance
from flows.core.errors import CredentialsRefused
from flows.core.model.store_address import StoreAddress
from flows.services.azure.cloud import CLOUDS
from flows.services.azure.identity import AzureIdentity, Token
from flows.services.models import azure_blobs, blob_providers
from flows.services.models.azure_blobs import AzureAccess
from tests.stand_ins.entra import Entra, entra
from tests.support.token_blob_store import Account, token_blob_store
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def account(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with token_blob_store(instance, tmp_path_factory.mktemp("certificates")) as found:
        yield found


@pytest.fixture
def directory(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Entra]:
    """A directory, where this machine has no identity; it trusts who issued the certificates of both."""
    for variable in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)
    with entra() as found:
        bundle = tmp_path / "bundle.crt"
        bundle.write_bytes(found.ca.read_bytes() + account.authority.read_bytes())
        for variable in found.variables:
            monkeypatch.setenv(variable, str(bundle))
        yield found


def test_a_block_of_a_service_principal_signs_in(account: Account, directory: Entra) -> None:
    directory.secrets["pipeline"] = "s3cret"
    block = {
        "account_url": account.url,
        "tenant_id": directory.tenant,
        "client_id": "pipeline",
        "client_secret": "s3cret",
    }
    access = AzureAccess(directory.cloud, own_authority=True)
    store = blob_providers.opened(StoreAddress("az", "models"), block, access)
    store.replace("principal", b"1")
    assert store.read("principal") == b"1"
    assert "pipeline" in {asked.fields.get("client_id") for asked in directory.asked}


def test_a_block_without_a_secret_is_signed_in_as_the_identity_of_the_settings(
    account: Account, directory: Entra
) -> None:
    access = AzureAccess(directory.cloud, directory.identity("ci"))
    store = blob_providers.opened(StoreAddress("az", "models"), {"account_url": account.url}, access)
    store.replace("settings", b"1")
    assert store.read("settings") == b"1"
    assert {asked.fields.get("client_id") for asked in directory.asked if asked.method == "POST"} == {"ci"}


def test_a_token_that_is_about_to_expire_is_asked_for_again(account: Account, directory: Entra) -> None:
    directory.lifetime = 200  # seconds, fewer than Azure's clients keep a token for
    store = azure_blobs.azure(
        "models", account_url=account.url, access=AzureAccess(directory.cloud, directory.identity("ci"))
    )

    def tokens() -> int:
        store.read("latest.json")
        return sum(asked.method == "POST" for asked in directory.asked)

    first = tokens()
    wait_until(lambda: tokens() > first, "the store goes on with the token that it had first")


def test_the_reason_why_an_identity_got_no_token_is_reported(account: Account) -> None:
    refused = CredentialsRefused("Entra ID refuses the identity (AADSTS7000215).", "Save its secret again.")

    @dataclass(frozen=True)
    class Refused(AzureIdentity):
        def token(self, scope: str) -> Token:
            raise refused

    access = AzureAccess(identity=Refused("azure-cli", CLOUDS["public"]))
    store = azure_blobs.azure("models", account_url=account.url, access=access)
    with pytest.raises(CredentialsRefused) as reported:
        store.read("latest.json")
    assert reported.value is refused


def test_a_machine_with_a_managed_identity_signs_in_where_the_settings_name_none(
    account: Account, directory: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{directory.metadata}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    store = azure_blobs.azure("models", account_url=account.url)
    store.replace("managed", b"1")
    assert store.read("managed") == b"1"
    assert [asked.fields.get("resource") for asked in directory.asked] == ["https://storage.azure.com"]


def test_a_machine_without_an_identity_learns_what_to_set(
    account: Account, directory: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # else it asks beyond this machine
    store = azure_blobs.azure("models", account_url=account.url)
    with pytest.raises(CredentialsRefused, match="no identity was found on this machine"):
        store.read("latest.json")
