"""Prefect blocks into plain values: where credentials come from, and from nowhere else."""

from typing import TypeVar, cast

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect_azure import AzureBlobStorageCredentials
from prefect_docker import DockerHost, DockerRegistryCredentials
from pydantic import SecretStr

from flows.core.errors import SettingsError
from flows.services import blob_providers
from flows.services.blob_store import BlobStore
from flows.services.registry import Credentials
from flows.settings import Engine, ModelSettings, Registry

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


def blob_store(model: ModelSettings) -> BlobStore:
    """The container behind an Azure Blob Storage block."""
    block = _load(AzureBlobStorageCredentials, model.credentials, "[model] credentials")
    return blob_providers.azure(
        model.container,
        connection_string=_plain(block.connection_string),
        account_url=block.account_url,
        tenant_id=block.tenant_id,
        client_id=block.client_id,
        client_secret=_plain(block.client_secret),
    )


def _plain(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
