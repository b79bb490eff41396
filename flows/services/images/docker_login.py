"""The registries that docker on this machine is signed in to, credential helpers included."""

from docker.auth import load_config
from docker.credentials.errors import StoreError
from docker.errors import DockerException

from flows.core.errors import SettingsError
from flows.services.registry.auth import Credentials
from flows.services.registry.azure_login import TOKEN_USER


def credentials(address: str) -> Credentials | None:
    """Those of `docker login ADDRESS`, or None; `SettingsError` where docker can't tell them."""
    try:
        saved = load_config().resolve_authconfig(address)
    except (DockerException, StoreError) as error:
        raise SettingsError(
            f"Docker on this machine can't tell what it is signed in with: {error}.",
            f"Run: docker login {address}",
        ) from error
    if not saved:
        return None
    how_to_correct = f"Run: docker login {address} (or: az acr login)"
    login = {key.lower(): value for key, value in saved.items()}  # a file has them small, a helper does not
    if token := login.get("identitytoken"):
        return Credentials(address, TOKEN_USER, token, how_to_correct)  # what `az acr login` leaves
    return Credentials(address, login["username"], login["password"], how_to_correct)


def required(address: str) -> Credentials:
    """The same; `SettingsError` where docker is not signed in there."""
    if (found := credentials(address)) is None:
        raise SettingsError(
            f"Docker on this machine is not signed in at {address}.",
            f"Run as the user of the worker: docker login {address}. Or configure a credential helper.",
        )
    return found
