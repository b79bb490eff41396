"""The account that the real `az` is signed in with, where it is installed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from flows.core.errors import CredentialsRefused
from flows.services.azure.identity import STORAGE, AzureIdentity
from tests.services.azure.signing_in import CLIENT
from tests.stand_ins.arm_store import arm_store
from tests.stand_ins.entra import Entra
from tests.support import azure_cli
from tests.support.azure_cli import AzureCli


@pytest.fixture
def az(directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureCli]:
    """In the cloud of that directory, and the one that this process finds."""
    found = azure_cli.installed()
    if found is None:
        pytest.skip("azure-cli is not installed on this machine; `make test-slow` installs it")
    with arm_store(directory) as arm:
        mine = found.in_cloud(arm, tmp_path)
        for name, value in mine.environment.items():
            monkeypatch.setenv(name, value)
        yield mine


def account(directory: Entra) -> AzureIdentity:
    """The one of `az login`."""
    return replace(directory.identity(CLIENT), kind="azure-cli")


def test_the_account_that_is_signed_in_gives_a_token(az: AzureCli, directory: Entra) -> None:
    az.sign_in(directory, CLIENT)

    token = account(directory).token(STORAGE).value

    said = jwt.decode(token, directory.public_key, ["RS256"], audience="https://storage.azure.com")
    assert said["appid"] == CLIENT


@pytest.mark.usefixtures("az")
def test_an_az_that_is_not_signed_in_is_reported(directory: Entra) -> None:
    with pytest.raises(CredentialsRefused, match="is not signed in"):
        account(directory).token(STORAGE)
