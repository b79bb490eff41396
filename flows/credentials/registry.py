"""The login that `[registry] login` in slipway.toml names."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flows.config.schema import Registry
from flows.services.azure.identity import AzureIdentity
from flows.services.images import docker_login
from flows.services.registry.auth import Credentials, Login
from flows.services.registry.aws_login import aws_login
from flows.services.registry.azure_login import azure_login
from flows.services.registry.kept_login import Given, KeptLogin

KEPT = timedelta(seconds=10)
"""How long a block or a credential helper is not asked again: a client signs in for every request, and
housekeeping sends hundreds of them."""


def login_of(
    registry: Registry, identity: Callable[[], AzureIdentity], otherwise: Callable[[], Credentials | None]
) -> Login:
    """That login: as the `identity` of [azure], as AWS's tools, or as docker; `otherwise` where none is
    named."""
    match registry.login:
        case "azure":
            return azure_login(registry.address, identity)
        case "aws":
            return aws_login(registry.address)
        case "docker":
            return briefly_kept(lambda: docker_login.required(registry.address))
        case None:
            return briefly_kept(otherwise)


def briefly_kept(ask: Callable[[], Credentials | None], kept: timedelta = KEPT) -> KeptLogin:
    """A login that asks again after seconds."""
    return KeptLogin(lambda: Given(ask(), datetime.now(UTC) + kept))
