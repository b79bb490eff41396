"""Prefect blocks into plain values: where the credentials of a flow run come from, and from nowhere else.

A block's values are read as the server keeps them. Its Python class is not loaded: prefect-azure's takes a
second to import, in every flow run, and nothing here calls its methods.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.config.load import Settings
from flows.config.schema import (
    Azure,
    Engine,
    Environment,
    ModelSettings,
    Registry,
    RepositoryAccess,
    Results,
    Store,
)
from flows.core.errors import SettingsError
from flows.core.model.store_address import StoreAddress
from flows.credentials.azure import azure_repos, identity
from flows.credentials.registry import login_of
from flows.services.azure.identity import AzureIdentity
from flows.services.git import github_app
from flows.services.git.login import DeployKey, GitLogin, HttpLogin
from flows.services.models import blob_providers
from flows.services.models.azure_blobs import NO_IDENTITY, AzureAccess
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Credentials, Login

SHORTEST_SECRET = 16
"""Characters of the secret that authenticates passed tests."""

DOCKER_HUB, ALSO_DOCKER_HUB = "docker.io", ("index.docker.io", "registry-1.docker.io")


def secret(name: str, key: str) -> str:
    """The value of a Secret block; `key` is where slipway.toml names it."""
    return str(_values("secret", name, key)["value"])


def azure(azure: Azure) -> AzureIdentity:
    """The identity for all of Azure; a service principal's secret is in a Secret block."""
    return identity(azure, lambda: secret(str(azure.credentials), "[azure] credentials"))


def repository_login(settings: Settings, table: Literal["source", "manifests"]) -> GitLogin | None:
    """The login that the table names; None where it names none."""
    wanted = settings.source if table == "source" else settings.manifests
    if name := wanted.deploy_key:
        return DeployKey(lambda: secret(name, f"[{table}] deploy_key"), wanted.known_hosts)
    address = wanted.repository or settings.source.repository
    return _http_login(settings, wanted, f"[{table}]", address, {"contents": "read"})


def status_login(settings: Settings) -> HttpLogin | None:
    """The login for commit statuses; None where slipway.toml names none."""
    source = settings.source
    if name := source.status_credentials:
        return HttpLogin(lambda: secret(name, "[source] status_credentials"))
    address = settings.hooks.repository or source.repository
    return _http_login(settings, source, "[source]", address, {"statuses": "write"})


def _http_login(
    settings: Settings, wanted: RepositoryAccess, table: str, address: str, permissions: dict[str, str]
) -> HttpLogin | None:
    if app := wanted.github_app:
        key = partial(secret, app.credentials, f"{table} github_app")
        api = settings.source.status_api
        found = github_app.installation(address, api, app.client_id, key, permissions)
        return HttpLogin(found.token, if_refused=github_app.IF_REFUSED)
    if wanted.login == "azure":
        return azure_repos(azure(settings.azure))
    if name := wanted.credentials:
        return HttpLogin(lambda: secret(name, f"{table} credentials"))
    return None


def registry_login(registry: Registry, of_azure: Azure) -> Login:
    """As `[registry] login` says, else by the user name and password in prefect-docker's
    DockerRegistryCredentials.

    `SettingsError` where the block is for another registry: a password goes only where it belongs.
    """

    def of_the_block() -> Credentials:
        return _registry_credentials(registry, registry.credentials, "[registry] credentials")

    return login_of(registry, partial(azure, of_azure), of_the_block)


def pull_credentials(registry: Registry) -> Credentials | None:
    """The same for the nodes of clusters, which only pull; None if slipway.toml names no block."""
    if not registry.pull_credentials:
        return None
    return _registry_credentials(registry, registry.pull_credentials, "[registry] pull_credentials")


def _registry_credentials(registry: Registry, block: str | None, key: str) -> Credentials:
    assert block is not None, "the settings name a block where no other login is set"
    values = _values("docker-registry-credentials", block, key)
    if _registry_host(values["registry_url"]) != _registry_host(registry.address):
        raise SettingsError(
            f"The block docker-registry-credentials/{block} is for {values['registry_url']}, "
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


def blob_store(model: ModelSettings, access: AzureAccess = NO_IDENTITY) -> BlobStore:
    """The store of [model], by prefect-azure's AzureBlobStorageCredentials or prefect-aws's AwsCredentials,
    if slipway.toml names such a block."""
    return _store(model.address, model, "model", access)


def kubeconfig(environment: str, wanted: Environment) -> str | None:
    """The content of the environment's Secret block; None if slipway.toml names none."""
    if wanted.credentials is None:
        return None
    return secret(wanted.credentials, f"[environments.{environment}] credentials")


def results_storage(results: Results, access: AzureAccess = NO_IDENTITY) -> tuple[BlobStore, str] | None:
    """The store of [results], and the folder to use in it; None if slipway.toml names none."""
    if results.storage is not None:
        return _of_storage_block(results.storage, access)
    if results.address is None:
        return None
    if results.address.kind == "file":
        Path(results.address.folder).mkdir(parents=True, exist_ok=True)
    return _store(results.address, results, "results", access), ""


def _store(address: StoreAddress, wanted: Store, table: str, access: AzureAccess) -> BlobStore:
    block = wanted.block and _values(*wanted.block, f"[{table}] credentials")
    return blob_providers.opened(address, block, access, table)


def _of_storage_block(storage: str, access: AzureAccess) -> tuple[BlobStore, str]:
    """As earlier versions had it: the container or folder that the storage block names itself."""
    kind, _, name = storage.partition("/")
    values = _values(kind, name, "[results] storage")
    if kind == "local-file-system":
        folder = Path(values.get("basepath") or "").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        return blob_providers.folder(folder), ""
    address = StoreAddress("az", values["container_name"])
    found = blob_providers.opened(address, values.get("credentials") or {}, access, "results")
    how_to_create = f"Create it, or let the block {storage} name another."
    return replace(found, how_to_create=how_to_create), values.get("base_folder") or ""


def results_secret(results: Results) -> str:
    """What passed tests are authenticated with: the Secret block at `[results] secret`."""
    found = secret(results.secret, "[results] secret")
    if len(found) < SHORTEST_SECRET:
        raise SettingsError(
            f"The block secret/{results.secret} holds fewer than {SHORTEST_SECRET} characters, which can be "
            "guessed.",
            "Save it with a random value, such as that of: openssl rand -hex 32",
        )
    return found


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
