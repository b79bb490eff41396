"""Credentials of a run by hand: SLIPWAY_* variables, else what this machine is signed in with. No Prefect.

| variable | without it |
|---|---|
| SLIPWAY_SOURCE_TOKEN | git's own credentials on this machine |
| SLIPWAY_REGISTRY_USERNAME, SLIPWAY_REGISTRY_PASSWORD | `docker login`, `az acr login` |
| SLIPWAY_MODEL_CONNECTION_STRING | SLIPWAY_MODEL_ACCOUNT_URL, and the machine's identity (`az login`) |
| AWS_REGION and AWS's others, for a bucket | the role that the machine has |
"""

import os
from dataclasses import replace

from flows.config.schema import Engine, Environment, ModelSettings, Registry, Results, Source
from flows.core.errors import SettingsError
from flows.core.model.model import AWS
from flows.services.images import docker_login
from flows.services.models import blob_providers
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Credentials

TOKEN = "SLIPWAY_SOURCE_TOKEN"
USERNAME, PASSWORD = "SLIPWAY_REGISTRY_USERNAME", "SLIPWAY_REGISTRY_PASSWORD"
CONNECTION_STRING, ACCOUNT_URL = "SLIPWAY_MODEL_CONNECTION_STRING", "SLIPWAY_MODEL_ACCOUNT_URL"
NAMES = (TOKEN, USERNAME, PASSWORD, CONNECTION_STRING, ACCOUNT_URL)

_MODEL_SIGN_IN = f"Set {CONNECTION_STRING}, or {ACCOUNT_URL} and sign in to Azure on this machine (az login)."

_BUCKET_SIGN_IN = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role for the bucket."
)


def source_token(_source: Source) -> str | None:
    """The variable's; None: git finds its own way, by SSH keys or a credential helper."""
    return os.environ.get(TOKEN)


def status_token(_source: Source) -> str | None:
    """None: a run by hand sends no commit status."""
    return None


def registry_credentials(registry: Registry) -> Credentials | None:
    """The variables', or those that docker on this machine is signed in with; None where it is not."""
    username, password = os.environ.get(USERNAME), os.environ.get(PASSWORD)
    if username and password:
        return Credentials(registry.address, username, password)
    if username or password:
        raise SettingsError(f"Only one of {USERNAME} and {PASSWORD} is set.", "Set both, or neither.")
    return docker_login.credentials(registry.address)


def engine_url(_engine: Engine) -> str | None:
    """As DOCKER_HOST says, or else this machine's own."""
    return None


def blob_store(model: ModelSettings) -> BlobStore:
    """The container in the account that the variables name, or the bucket as AWS's own variables say."""
    kind, _ = model.block
    if kind == AWS:
        return _bucket(model)
    connection_string, account_url = os.environ.get(CONNECTION_STRING), os.environ.get(ACCOUNT_URL)
    if not connection_string and not account_url:
        raise SettingsError("There are no credentials for the blob store.", _MODEL_SIGN_IN)
    found = blob_providers.azure(
        model.container, connection_string=connection_string, account_url=account_url
    )
    return replace(found, how_to_sign_in=_MODEL_SIGN_IN)


def results_storage(_results: Results) -> None:
    """None: a run by hand caches passed tests on this machine."""


def kubeconfig(_environment: str, _wanted: Environment) -> None:
    """None: a person's own kubeconfig, which slipway.toml names."""


def _bucket(model: ModelSettings) -> BlobStore:
    if not (region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
        raise SettingsError("The bucket's region is not known.", "Set AWS_REGION.")
    found = blob_providers.s3(
        model.container,
        region=region,
        endpoint=os.environ.get("AWS_ENDPOINT_URL"),
        access_key_id=os.environ.get("AWS_ACCESS_KEY_ID"),
        secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY"),
        session_token=os.environ.get("AWS_SESSION_TOKEN"),
    )
    return replace(found, how_to_sign_in=_BUCKET_SIGN_IN)
