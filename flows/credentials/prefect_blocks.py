"""Prefect blocks into plain values: where the credentials of a flow run come from, and from nowhere else.

A block's values are read as the server keeps them. Its Python class is not loaded: prefect-azure's takes a
second to import, in every flow run, and nothing here calls its methods.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.config.schema import Engine, Environment, ModelSettings, Registry, Results, Source
from flows.core.errors import SettingsError
from flows.core.model.model import AZURE
from flows.services.models import blob_providers
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Credentials

DOCKER_HUB, ALSO_DOCKER_HUB = "docker.io", ("index.docker.io", "registry-1.docker.io")


def secret(name: str, key: str = "[source] credentials") -> str:
    """The value of a Secret block; `key` is where slipway.toml names it."""
    return str(_values("secret", name, key)["value"])


def source_token(source: Source) -> str | None:
    """What a private repository asks for; None where slipway.toml names no block for it."""
    return secret(source.credentials) if source.credentials else None


def status_token(source: Source) -> str | None:
    """The token for commit statuses; None if slipway.toml names no block for it."""
    if source.status_credentials:
        return secret(source.status_credentials, "[source] status_credentials")
    return source_token(source)


def registry_credentials(registry: Registry) -> Credentials:
    """User name and password for the registry, from prefect-docker's DockerRegistryCredentials.

    `SettingsError` where the block is for another registry: a password goes only where it belongs.
    """
    values = _values("docker-registry-credentials", registry.credentials, "[registry] credentials")
    if _registry_host(values["registry_url"]) != _registry_host(registry.address):
        raise SettingsError(
            f"The block docker-registry-credentials/{registry.credentials} is for {values['registry_url']}, "
            f"but [registry] address is {registry.address}.",
            "Correct the one that is wrong.",
        )
    return Credentials(registry.address, values["username"], values["password"])


def _registry_host(url: str) -> str:
    """Host and port of an address or a URL; Docker Hub has several names."""
    host = url.partition("://")[2] or url
    host = host.partition("/")[0].lower()
    return DOCKER_HUB if host in {DOCKER_HUB, *ALSO_DOCKER_HUB} else host


def engine_url(engine: Engine) -> str | None:
    """Where the container engine listens, from prefect-docker's DockerHost; None: as the environment says."""
    return _values("docker-host", engine.credentials, "[engine] credentials").get("base_url")


def blob_store(model: ModelSettings) -> BlobStore:
    """The container or bucket that prefect-azure's AzureBlobStorageCredentials or prefect-aws's
    AwsCredentials lead to."""
    kind, name = model.block
    return blob_providers.of_block(kind, model.container, _values(kind, name, "[model] credentials"))


def kubeconfig(environment: str, wanted: Environment) -> str | None:
    """The content of the environment's Secret block; None if slipway.toml names none."""
    if wanted.credentials is None:
        return None
    return secret(wanted.credentials, f"[environments.{environment}] credentials")


def results_storage(results: Results) -> tuple[BlobStore, str] | None:
    """The container or folder of the storage block, `<type>/<name>`, and the folder to use in it.

    None if slipway.toml names no block.
    """
    storage = results.storage
    if storage is None:
        return None
    kind, _, name = storage.partition("/")
    values = _values(kind, name, "[results] storage")
    if kind == "local-file-system":
        folder = Path(values.get("basepath") or "").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        return blob_providers.folder(folder), ""
    found = blob_providers.of_block(AZURE, values["container_name"], values.get("credentials") or {})
    how_to_create = f"Create it, or let the block {storage} name another."
    return replace(found, how_to_create=how_to_create), values.get("base_folder") or ""


def _values(kind: str, name: str, key: str) -> dict[str, Any]:
    """What the block of that type and name holds, secrets included; `SettingsError` where there is none."""
    try:
        with get_client(sync_client=True) as client:
            return client.read_block_document_by_name(name, kind, include_secrets=True).data
    except ObjectNotFound as error:
        raise SettingsError(
            f"Prefect has no block {kind}/{name}, which slipway.toml names at {key}.",
            "Create it in the Prefect UI under Blocks; `make run` creates those of the embedded platform.",
        ) from error
