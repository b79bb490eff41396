"""The login that the nodes of a cluster pull with: every node holds it, so it may push nowhere."""

from flows.config.schema import Registry as RegistrySettings
from flows.core.errors import CredentialsRefused, SettingsError
from flows.services.registry.auth import Credentials, always
from flows.services.registry.client import Registry


def require_pull_only(settings: RegistrySettings, login: Credentials) -> None:
    """Ask the registry what the login may do, there and where the nodes pull.

    `SettingsError` where it can push, `CredentialsRefused` where it can't pull. An upload that the registry
    lets begin is given up; nothing is pushed.
    """
    block = f"docker-registry-credentials/{settings.pull_credentials}"
    places = dict.fromkeys((settings.address, settings.pull_address or settings.address))
    registries = [Registry(place, settings.repository, always(login), settings.insecure) for place in places]
    for registry in registries:
        if registry.may_push():
            raise SettingsError(
                f"The login in the block {block} can push to {registry.name}, and every node would hold it.",
                "Put a login into the block that can only pull; on Azure Container Registry, a token with "
                "content/read for this repository.",
            )
    if not registries[-1].may_pull():
        raise CredentialsRefused(
            f"The registry {registries[-1].address} does not let the login in the block {block} pull from "
            f"{settings.repository}.",
            "Correct user name and password in the block, or the login's rights.",
        )
