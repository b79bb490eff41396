"""What slipway.toml names on Prefect's server: blocks, and the variables of prefect.yaml."""

from flows.config.load import Settings
from flows.config.schema import RepositoryAccess


def variables_of(settings: Settings) -> dict[str, str]:
    """What prefect.yaml takes from slipway.toml, by the variable's name."""
    return {
        "slipway_nightly": settings.schedule.nightly,
        "slipway_nightly_by": settings.schedule.nightly_by,
        "slipway_timezone": settings.timezone,
    }


def blocks_of(settings: Settings) -> dict[str, str]:
    """Every block that slipway.toml names, as type/name, and the key that names it: one, where several do."""
    return {block: key for key, block in blocks_by_key(settings).items()}


def blocks_by_key(settings: Settings) -> dict[str, str]:
    """The keys that name a block, and that block as type/name."""
    source, hooks = settings.source, settings.hooks
    secrets = {
        **_of_repository("[source]", source),
        "[source] status_credentials": source.status_credentials,
        **_of_repository("[manifests]", settings.manifests),
        "[azure] credentials": settings.azure.credentials,
        "[hooks] github": hooks.github,
        "[hooks] azure_devops": hooks.azure_devops,
        "[results] secret": settings.results.secret,
        **{f"[environments.{name}] credentials": e.credentials for name, e in settings.environments.items()},
    }
    named = {
        "[engine] credentials": f"docker-host/{settings.engine.credentials}",
        "[registry] credentials": settings.registry.credentials
        and f"docker-registry-credentials/{settings.registry.credentials}",
        "[registry] pull_credentials": settings.registry.pull_credentials
        and f"docker-registry-credentials/{settings.registry.pull_credentials}",
        "[results] credentials": settings.results.block and "/".join(settings.results.block),
        "[model] credentials": settings.model.block and "/".join(settings.model.block),
        "[results] storage": settings.results.storage,
        "[notifications] block": settings.notifications.block,
        **{key: name and f"secret/{name}" for key, name in secrets.items()},
    }
    return {key: block for key, block in named.items() if block}


def _of_repository(table: str, access: RepositoryAccess) -> dict[str, str | None]:
    return {
        f"{table} credentials": access.credentials,
        f"{table} deploy_key": access.deploy_key,
        f"{table} github_app": access.github_app.credentials if access.github_app else None,
    }
