"""The identity that [azure] in slipway.toml names."""

from collections.abc import Callable
from dataclasses import replace

from flows.config.schema import Azure
from flows.core.errors import SettingsError
from flows.services.azure.cloud import CLOUDS, Cloud
from flows.services.azure.identity import DEVOPS, AzureIdentity
from flows.services.git.login import HttpLogin
from flows.services.models.azure_blobs import AzureAccess


def identity(azure: Azure, secret: Callable[[], str]) -> AzureIdentity:
    """That identity; `secret` gives what a service principal signs in with. `SettingsError` where none is
    named."""
    if azure.identity is None:
        raise SettingsError(
            "slipway.toml names no identity for Azure.",
            'Set [azure] identity, for example to "azure-cli" after `az login`.',
        )
    return AzureIdentity(
        azure.identity,
        cloud(azure),
        azure.tenant,
        azure.client_id,
        secret,
        own_authority=azure.authority is not None,
    )


def azure_repos(identity: AzureIdentity) -> HttpLogin:
    """The identity at Azure Repos: for git, and for commit statuses."""
    return HttpLogin(
        lambda: identity.token(DEVOPS).value,
        "Bearer",
        "Add the identity of [azure] to the organization at Azure DevOps as a user with Basic access, and "
        "give it Read on the repository.",
    )


def access(azure: Azure, identity: AzureIdentity | None) -> AzureAccess:
    """How stores in Azure are signed in to: as that identity, if there is one."""
    return AzureAccess(cloud(azure), identity, own_authority=azure.authority is not None)


def cloud(azure: Azure) -> Cloud:
    """The cloud, with the addresses that the settings give in place of its own."""
    named = CLOUDS[azure.cloud]
    manager = azure.resource_manager or named.resource_manager
    return replace(
        named,
        authority=azure.authority or named.authority,
        resource_manager=manager,
        resource_manager_scope=f"{manager}/.default",
    )
