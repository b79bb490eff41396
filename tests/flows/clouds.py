"""A team's line in Azure: a storage account for its models, a registry, and one identity for both."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect_azure import AzureBlobStorageCredentials

from flows.config.load import CHECKOUT
from flows.services.prefect.client import FlowRun
from tests.flows.conftest import Line
from tests.flows.team import MODELS
from tests.stand_ins.acr import Acr, acr
from tests.stand_ins.entra import Entra, entra
from tests.support.token_blob_store import Account, token_blob_store

CI = "22222222-2222-2222-2222-222222222222"
ELSEWHERE = "login.example.test"
"""A name of the directory, beside localhost, that only a proxy knows."""


@dataclass(frozen=True)
class Cloud:
    """What a subscription has."""

    directory: Entra
    registry: Acr
    account: Account
    bundle: Path
    """The certificate authorities of all three."""
    variables: dict[str, str]
    """What leads the line's runs there."""


@contextmanager
def cloud_of(line: Line, folder: Path, variables: pytest.MonkeyPatch, secret: str) -> Iterator[Cloud]:
    """One whose store and registry believe in the directory; the line's runs sign in there with that secret.

    The variables hold as long as their context.
    """
    with (
        token_blob_store(line.platform.instance, folder) as account,
        entra(hosts=(ELSEWHERE,)) as directory,
        acr(directory, line.platform.instance.network) as registry,
    ):
        directory.secrets[CI] = secret
        registry.roles = {CI: {"AcrPush"}}
        bundle = folder / "company.pem"
        bundle.write_bytes(directory.ca.read_bytes() + account.authority.read_bytes())
        blocks = {kind: f"{line.model}-{kind}" for kind in ("identity", "store")}
        Secret(value=secret).save(blocks["identity"], overwrite=True)
        AzureBlobStorageCredentials(account_url=account.url).save(blocks["store"], overwrite=True)
        values = {
            "SLIPWAY_CONFIG": str(_settings_with_login(folder)),
            "SLIPWAY_NETWORK__CA_BUNDLE": str(bundle),
            "SLIPWAY_AZURE__IDENTITY": "service-principal",
            "SLIPWAY_AZURE__TENANT": directory.tenant,
            "SLIPWAY_AZURE__CLIENT_ID": CI,
            "SLIPWAY_AZURE__CREDENTIALS": blocks["identity"],
            "SLIPWAY_AZURE__AUTHORITY": directory.url,
            "SLIPWAY_MODEL__CREDENTIALS": blocks["store"],
            "SLIPWAY_REGISTRY__ADDRESS": registry.address,
            "SLIPWAY_REGISTRY__INSECURE": "false",
        }
        for name, value in values.items():
            variables.setenv(name, value)
        yield Cloud(directory, registry, account, bundle, values)


def publish(line: Line) -> FlowRun:
    """The run that has published the line's model to the store that its settings name."""
    file = str(MODELS / "digits")
    run = line.start("publish-model/on-demand", file=file, name=line.model, version="1.0.0")
    run = line.platform.wait(run)
    assert run.state == "COMPLETED", run.message
    return run


def _settings_with_login(folder: Path) -> Path:
    """The project's own slipway.toml, with Azure's login in place of the registry's blocks."""
    text = (CHECKOUT / "slipway.toml").read_text()
    lines = {"credentials": 'login = "azure"', "pull_credentials": 'pull_credentials = ""'}
    for key, line in lines.items():
        found = next(one for one in text.splitlines() if one.startswith(f'{key} = "slipway-registry'))
        text = text.replace(found, line)
    written = folder / "slipway.toml"
    written.write_text(text)
    return written
