"""A whole run as an identity of Azure, whose tokens are dead long before the run ends."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect_azure import AzureBlobStorageCredentials

from flows.config.load import CHECKOUT
from flows.services.azure.identity import REGISTRY, STORAGE
from tests.flows.conftest import Line
from tests.flows.team import MODELS
from tests.stand_ins.acr import Acr, acr
from tests.stand_ins.entra import Entra, entra
from tests.support.token_blob_store import Account, token_blob_store

pytestmark = pytest.mark.slow

CI = "22222222-2222-2222-2222-222222222222"
SECRET, STORE = "slipway-short-tokens", "slipway-short-tokens-store"
"""Names of blocks."""

SECONDS = 5
"""Lifetime of a token of the identity, and of what the registry gives for it."""

DOCKER_LEAST = 65
"""Lifetime of a token for access: docker takes each for valid for a minute at least."""


@dataclass(frozen=True)
class Cloud:
    """What a subscription has."""

    directory: Entra
    registry: Acr
    account: Account


@pytest.fixture
def cloud(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """One whose store and registry believe in the directory; the line's runs sign in there."""
    with (
        token_blob_store(line.platform.instance, tmp_path) as account,
        entra() as directory,
        acr(directory) as registry,
    ):
        directory.lifetime, directory.secrets[CI] = SECONDS, "s3cret"
        registry.refresh_lifetime, registry.access_lifetime = SECONDS, DOCKER_LEAST
        registry.roles = {CI: {"AcrPush"}}
        bundle = tmp_path / "company.pem"
        bundle.write_bytes(directory.ca.read_bytes() + account.authority.read_bytes())
        Secret(value="s3cret").save(SECRET, overwrite=True)
        AzureBlobStorageCredentials(account_url=account.url).save(STORE, overwrite=True)
        variables = {
            "SLIPWAY_CONFIG": str(settings_with_login(tmp_path)),
            "SLIPWAY_NETWORK__CA_BUNDLE": str(bundle),
            "SLIPWAY_AZURE__IDENTITY": "service-principal",
            "SLIPWAY_AZURE__TENANT": directory.tenant,
            "SLIPWAY_AZURE__CLIENT_ID": CI,
            "SLIPWAY_AZURE__CREDENTIALS": SECRET,
            "SLIPWAY_AZURE__AUTHORITY": directory.url,
            "SLIPWAY_MODEL__CREDENTIALS": STORE,
            "SLIPWAY_REGISTRY__ADDRESS": registry.address,
            "SLIPWAY_REGISTRY__INSECURE": "false",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield Cloud(directory, registry, account)


def settings_with_login(folder: Path) -> Path:
    """The project's own slipway.toml, with Azure's login in place of the registry's blocks."""
    text = (CHECKOUT / "slipway.toml").read_text()
    lines = {"credentials": 'login = "azure"', "pull_credentials": 'pull_credentials = ""'}
    for key, line in lines.items():
        found = next(one for one in text.splitlines() if one.startswith(f'{key} = "slipway-registry'))
        text = text.replace(found, line)
    written = folder / "slipway.toml"
    written.write_text(text)
    return written


def test_a_run_of_ci_signs_in_again_where_its_tokens_have_ended(line: Line, cloud: Cloud) -> None:
    model = str(MODELS / "digits")
    published = line.start("publish-model/on-demand", file=model, name=line.model, version="1.0.0")
    published = line.platform.wait(published)
    assert published.state == "COMPLETED", published.message
    cloud.directory.asked.clear()

    built = line.platform.wait(line.start("ci/commit"))

    assert built.state == "COMPLETED", built.message
    assert "built, tested and pushed" in built.message
    assert {tag for repository, tag in cloud.registry.pushed} >= {"latest"}
    asked = [one.fields.get("scope", "") for one in cloud.directory.asked if one.method == "POST"]
    for service in (STORAGE, REGISTRY):
        assert sum(service in scope for scope in asked) > 2, asked
    assert len(cloud.registry.exchanges) > 2
