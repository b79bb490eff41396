"""Prefect blocks into plain values: where credentials come from, and from nowhere else."""

from typing import TypeVar, cast

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect_azure import AzureBlobStorageCredentials
from prefect_docker import DockerHost, DockerRegistryCredentials

from flows.core.errors import SettingsError
from flows.services import model_store
from flows.services.model_store import ModelStore
from flows.services.registry import Credentials
from flows.settings import Engine, ModelStore as ModelSettings, Registry

B = TypeVar("B", bound=Block)


def _load(kind: type[B], name: str, key: str) -> B:
    try:
        return cast(B, kind.load(name))
    except ValueError:
        raise SettingsError(
            f"Prefect has no block {kind.get_block_type_slug()}/{name}, which slipway.toml names at {key}.",
            "Create it in the Prefect UI under Blocks; `make run` creates those of the embedded platform.",
        ) from None


def secret(name: str) -> str:
    """The value of a Secret block."""
    return str(_load(Secret[str], name, "[source] credentials").get())


def registry_credentials(registry: Registry) -> Credentials:
    """User name and password for the registry."""
    block = _load(DockerRegistryCredentials, registry.credentials, "[registry] credentials")
    return Credentials(registry.address, block.username, block.password.get_secret_value())


def engine_url(engine: Engine) -> str | None:
    """Where the container engine listens; None for where the environment says."""
    url: str | None = _load(DockerHost, engine.credentials, "[engine] credentials").base_url
    return url


def azure_store(model: ModelSettings) -> ModelStore:
    """The store behind an Azure Blob Storage block."""
    block = _load(AzureBlobStorageCredentials, model.credentials, "[model] credentials")
    connection = block.connection_string.get_secret_value() if block.connection_string else None
    return ModelStore(model_store.azure(connection, model.container))
