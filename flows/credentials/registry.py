"""The login that `[registry] login` in slipway.toml names."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flows.config.schema import Registry
from flows.services.azure.identity import AzureIdentity
from flows.services.images import docker_login
from flows.services.registry.auth import Credentials, Login
from flows.services.registry.aws_login import aws_login
from flows.services.registry.azure_login import azure_login
from flows.services.registry.cached_login import CachedLogin, ExpiringCredentials

CACHED_FOR = timedelta(seconds=10)
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
            return briefly_cached(lambda: docker_login.required(registry.address))
        case None:
            return briefly_cached(otherwise)


def briefly_cached(ask: Callable[[], Credentials | None], duration: timedelta = CACHED_FOR) -> CachedLogin:
    """A login that asks `ask` again after `duration`."""
    return CachedLogin(lambda: ExpiringCredentials(ask(), datetime.now(UTC) + duration))
