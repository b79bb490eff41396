"""The registries that docker on this machine is signed in to, credential helpers included."""

from docker.auth import load_config
from docker.credentials.errors import StoreError
from docker.errors import DockerException

from flows.core.errors import SettingsError
from flows.services.registry.auth import Credentials

ACR_TOKEN_USER = "00000000-0000-0000-0000-000000000000"
"""Whom Azure Container Registry takes a token from, which is what `az acr login` leaves."""


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
    login = {key.lower(): value for key, value in saved.items()}  # a file has them small, a helper does not
    if token := login.get("identitytoken"):
        return Credentials(address, ACR_TOKEN_USER, token)
    return Credentials(address, login["username"], login["password"])
