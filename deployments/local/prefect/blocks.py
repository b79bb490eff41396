"""The Prefect blocks that flow runs take their credentials from.

A block is made when it is missing, and saved again when the platform's credentials changed. A block that a
person has pointed at another system is not changed.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deployments.local.instance import Instance
from deployments.local.prefect import subprocesses
from deployments.local.progress import Say
from deployments.local.stores.blob_store import ACCOUNT, RESULTS, BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from deployments.prefect.api import PrefectApi
from flows.config.load import Settings
from flows.core.model.model import AZURE

LOOPBACK = ("localhost:", "127.0.0.1:")


@dataclass(frozen=True)
class Block:
    """One block as it should be: `kind` is the slug of its type, `block_class` what saves it."""

    kind: str
    block_class: str
    name: str
    values: Mapping[str, Any]


def ensure(instance: Instance, api: PrefectApi, wanted: list[Block], say: Say) -> bool:
    """Whether any block had to be saved."""
    stale = [block for block in wanted if _is_stale(block, api.block(block.kind, block.name))]
    if stale:
        say(f"saving {', '.join(block.name for block in stale)}")
        _save(instance, stale)
    return bool(stale)


def uses_own_store(api: PrefectApi, settings: Settings) -> bool:
    """Whether models come from this platform's blob store, and not from one that a person named."""
    block = settings.model.block
    return _leads_here((block and api.block(*block)) or {})


def wanted(settings: Settings, registry: RegistryAccess | None, store: BlobStoreAccess) -> list[Block]:
    """The blocks that lead to this platform; none for a registry that is not its own."""
    blocks = [
        Block("docker-host", "prefect_docker.DockerHost", settings.engine.credentials, {}),
        _secret(settings.hooks.github, secrets.token_urlsafe(32)),
        _secret(settings.hooks.azure_devops, f"slipway:{secrets.token_urlsafe(32)}"),
        _secret(settings.results.secret, secrets.token_urlsafe(32)),
    ]
    for kind, name in dict.fromkeys(filter(None, (settings.model.block, settings.results.block))):
        if kind == AZURE:
            login = {"connection_string": store.connection_string}
            blocks.append(Block(kind, "prefect_azure.AzureBlobStorageCredentials", name, login))
    kind, _, name = (settings.results.storage or "").partition("/")
    if kind == "azure-blob-storage-container":
        container = {
            "container_name": RESULTS,
            "credentials": {"connection_string": store.connection_string},
        }
        blocks.append(Block(kind, "prefect_azure.blob_storage.AzureBlobStorageContainer", name, container))
    if registry is not None:
        push = (settings.registry.credentials, registry.username, registry.password)
        pull = (settings.registry.pull_credentials, registry.pull_username, registry.pull_password)
        blocks += [_registry_login(registry.address, *login) for login in (push, pull) if login[0]]
    return blocks


def _registry_login(address: str, name: str | None, username: str, password: str) -> Block:
    assert name, "only logins with a block get here"
    login = {"registry_url": address, "username": username, "password": password}
    return Block("docker-registry-credentials", "prefect_docker.DockerRegistryCredentials", name, login)


def _secret(name: str, value: str) -> Block:
    """Drawn once: a Secret that is there stays, whatever it holds."""
    return Block("secret", "prefect.blocks.system.Secret", name, {"value": value})


def _is_stale(block: Block, found: dict[str, Any] | None) -> bool:
    if found is None:
        return True
    return not _agrees(found, block.values) and _leads_here(found)


def _agrees(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all that is wanted is there; Prefect adds what a block has by default."""
    return all(
        _agrees(found.get(key) or {}, value) if isinstance(value, Mapping) else found.get(key) == value
        for key, value in wanted.items()
    )


def _leads_here(found: dict[str, Any]) -> bool:
    """Whether the block was made for an embedded platform, as far as its values tell."""
    login = found.get("credentials") or found
    account = f"AccountName={ACCOUNT};" in (login.get("connection_string") or "")
    return account or (found.get("registry_url") or "").startswith(LOOPBACK)


def _save(instance: Instance, blocks: list[Block]) -> None:
    subprocesses.run(
        instance,
        "deployments.local.prefect.save_blocks",
        failed="The blocks can't be saved",
        given=json.dumps([asdict(block) for block in blocks]),
    )
