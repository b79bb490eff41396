"""Credentials of a run by hand: SLIPWAY_* variables, else what this machine is signed in with. No Prefect.

| variable | without it |
|---|---|
| SLIPWAY_SOURCE_TOKEN | git's own credentials on this machine |
| SLIPWAY_REGISTRY_USERNAME, SLIPWAY_REGISTRY_PASSWORD | `[registry] login`, else `docker login` |
| SLIPWAY_MODEL_CONNECTION_STRING | SLIPWAY_MODEL_ACCOUNT_URL, and the identity of [azure] or the machine's |
| SLIPWAY_MODEL_ACCOUNT_URL | the account that [model] store names |
| SLIPWAY_AZURE_SECRET | the identity of [azure], if it needs no secret |
| AWS_REGION, AWS_PROFILE and AWS's others, for a bucket | the role that the machine has |
"""

import os
from dataclasses import replace
from functools import partial
from typing import Literal

from flows.config.load import Settings
from flows.config.schema import (
    Azure,
    Engine,
    Environment,
    ModelSettings,
    Registry,
    Results,
)
from flows.core.errors import SettingsError
from flows.credentials.azure import azure_repos, identity
from flows.credentials.registry import login_of
from flows.services.azure.identity import AzureIdentity
from flows.services.git.login import GitLogin, HttpLogin
from flows.services.images import docker_login
from flows.services.models import blob_providers
from flows.services.models.azure_blobs import NO_IDENTITY, AzureAccess
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Credentials, Login

TOKEN = "SLIPWAY_SOURCE_TOKEN"  # noqa: S105  # a name, no password
USERNAME, PASSWORD = "SLIPWAY_REGISTRY_USERNAME", "SLIPWAY_REGISTRY_PASSWORD"
CONNECTION_STRING, ACCOUNT_URL = "SLIPWAY_MODEL_CONNECTION_STRING", "SLIPWAY_MODEL_ACCOUNT_URL"
AZURE_SECRET = "SLIPWAY_AZURE_SECRET"  # noqa: S105  # as above
NAMES = (TOKEN, USERNAME, PASSWORD, CONNECTION_STRING, ACCOUNT_URL, AZURE_SECRET)

_MODEL_SIGN_IN = f"Set {CONNECTION_STRING}, or {ACCOUNT_URL} and sign in to Azure on this machine (az login)."


def azure(azure: Azure) -> AzureIdentity:
    """The identity for all of Azure; a service principal's secret is in the variable."""
    return identity(azure, _azure_secret)


def repository_login(settings: Settings, table: Literal["source", "manifests"]) -> GitLogin | None:
    """With the variable's token or, where the table says so, as the identity of [azure]; None: git finds its
    own way, by SSH keys or a credential helper."""
    if table == "source" and (token := os.environ.get(TOKEN)):
        return HttpLogin(lambda: token)
    wanted = settings.source if table == "source" else settings.manifests
    return azure_repos(azure(settings.azure)) if wanted.login == "azure" else None


def status_login(_settings: Settings) -> None:
    """None: a run by hand sends no commit status."""


def registry_login(registry: Registry, of_azure: Azure) -> Login:
    """By the variables, else as `[registry] login` says, else as docker on this machine is signed in; without
    credentials where it is not."""
    named = login_of(registry, partial(azure, of_azure), partial(docker_login.credentials, registry.address))
    return lambda: _of_the_variables(registry) or named()


def _of_the_variables(registry: Registry) -> Credentials | None:
    username, password = os.environ.get(USERNAME), os.environ.get(PASSWORD)
    if username and password:
        return Credentials(registry.address, username, password)
    if username or password:
        raise SettingsError(f"Only one of {USERNAME} and {PASSWORD} is set.", "Set both, or neither.")
    return None


def engine_url(_engine: Engine) -> str | None:
    """As DOCKER_HOST says, or else this machine's own."""
    return None


def blob_store(model: ModelSettings, access: AzureAccess = NO_IDENTITY) -> BlobStore:
    """The store that slipway.toml names. In Azure, what the variables say counts first; S3 is signed in to as
    AWS's own variables and files say."""
    address = model.address
    if address.kind != "az":
        return blob_providers.opened(address, None, access)
    connection_string, account_url = os.environ.get(CONNECTION_STRING), os.environ.get(ACCOUNT_URL)
    account_url = account_url or address.account_url(access.cloud.blob_suffix)
    if not connection_string and not account_url:
        raise SettingsError("There are no credentials for the blob store.", _MODEL_SIGN_IN)
    block = {"connection_string": connection_string, "account_url": account_url}
    return replace(blob_providers.opened(address, block, access), how_to_sign_in=_MODEL_SIGN_IN)


def results_storage(_results: Results, _access: AzureAccess) -> None:
    """None: a run by hand caches no passed tests."""


def results_secret(_results: Results) -> str:
    """`SettingsError`: a run by hand reuses no passed tests."""
    raise SettingsError(
        "A run by hand has no secret that authenticates passed tests.", "Start the run through Prefect."
    )


def kubeconfig(_environment: str, _wanted: Environment) -> None:
    """None: a person's own kubeconfig, which slipway.toml names."""


def _azure_secret() -> str:
    if not (secret := os.environ.get(AZURE_SECRET)):
        raise SettingsError(
            f"{AZURE_SECRET} is not set, which the service principal of [azure] signs in with.",
            'Set it, or [azure] identity = "azure-cli".',
        )
    return secret
