"""The platform's credentials as the variables that a run of CI by hand takes them from."""

from deployments.local.instance import Instance
from deployments.local.stores import blob_store, registry
from flows.core.errors import PlatformFailed
from flows.credentials import environment


def of(instance: Instance) -> dict[str, str]:
    """Name and value of each; `PlatformFailed` where there is no platform yet."""
    if not (instance.state / "platform.toml").exists():
        raise PlatformFailed("The platform is not set up, so it has no credentials.", "Run: make run")
    login = registry.ensure_access(instance)
    return {
        environment.USERNAME: login.username,
        environment.PASSWORD: login.password,
        environment.CONNECTION_STRING: blob_store.ensure_access(instance).connection_string,
    }
