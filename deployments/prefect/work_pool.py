"""What deployments and flows take from Prefect's server: the work pool, concurrency limits, variables.

    python -m deployments.prefect.work_pool

makes them on the server of PREFECT_API_URL, changes those that differ, and names the blocks of slipway.toml
that the server has not. Run it in the checkout whose flows the worker is to run, before
`prefect deploy --all`, and again whenever slipway.toml has changed; `make run` does the same.
"""

import sys
from pathlib import Path
from typing import Any

import httpx

from deployments.prefect.api import POOL, PrefectApi
from flows.config import load as configuration
from flows.config.load import CHECKOUT, Settings
from flows.core.errors import PrefectUnavailable, SettingsError, SlipwayError
from flows.core.trigger.crash import HEARTBEAT

QUEUES = {"ci": 2, "release": 4, "checks": 2}
"""Work queues, and how many runs of each go on at once. A lock in the cluster keeps two releases of one
environment apart; one that waits for it, or for a person, is not to hold up the others, nor a check."""

RETIRED = ("silence/on-demand", "again/on-crash")
"""Deployments whose flows have other names by now: mark-lost and restart-crashed."""

LIMITS = {"slipway-latest": 1}
"""Global concurrency limits that the flows take slots of, and how many there are."""


def ensure(api: PrefectApi, checkout: Path) -> None:
    """The pool, whose workers run the flows of that checkout, and the limits."""
    api.ensure_work_pool(_job_template(api, checkout), QUEUES)
    for limit, slots in LIMITS.items():
        api.ensure_limit(limit, slots)


def variables_of(settings: Settings) -> dict[str, str]:
    """What prefect.yaml takes from slipway.toml, by the variable's name."""
    return {
        "slipway_nightly": settings.schedule.nightly,
        "slipway_nightly_by": settings.schedule.nightly_by,
        "slipway_timezone": settings.timezone,
    }


def blocks_of(settings: Settings) -> dict[str, str]:
    """Every block that slipway.toml names, as type/name, and the key that names it."""
    source, hooks = settings.source, settings.hooks
    secrets = {
        "[source] credentials": source.credentials,
        "[source] status_credentials": source.status_credentials,
        "[hooks] github": hooks.github,
        "[hooks] azure_devops": hooks.azure_devops,
        **{f"[environments.{name}] credentials": e.credentials for name, e in settings.environments.items()},
    }
    named = {
        "[engine] credentials": f"docker-host/{settings.engine.credentials}",
        "[registry] credentials": f"docker-registry-credentials/{settings.registry.credentials}",
        "[model] credentials": "/".join(settings.model.block),
        "[results] storage": settings.results.storage,
        "[notifications] block": settings.notifications.block,
        **{key: name and f"secret/{name}" for key, name in secrets.items()},
    }
    return {block: key for key, block in named.items() if block}


def _job_template(api: PrefectApi, checkout: Path) -> dict[str, Any]:
    """Prefect's own for processes, but what a worker executes is constant: a user who starts a run can
    choose no command, variable or folder.

    The command also spares the worker a search for how to run each deployment.
    """
    template = api.process_template()
    constant = {
        "command": f"{sys.executable} -m prefect.engine",
        "env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT)},
        "working_dir": str(checkout),
    }
    template["job_configuration"] |= constant
    for name in constant:
        del template["variables"]["properties"][name]
    return template


def _client() -> PrefectApi:
    """Of the server that Prefect's own command line talks to."""
    from prefect.settings import get_current_settings  # noqa: PLC0415  # the platform imports no Prefect

    api = get_current_settings().api
    if api.url is None:
        raise SettingsError("PREFECT_API_URL is not set.", "Set it to the address of Prefect's server.")
    sign_in = api.auth_string.get_secret_value() if api.auth_string else None
    return PrefectApi(api.url.rstrip("/").removesuffix("/api"), sign_in, trust_env=True)


def _ensure_all(api: PrefectApi, settings: Settings) -> None:
    ensure(api, CHECKOUT)
    for name, value in variables_of(settings).items():
        api.ensure_variable(name, value)
    print(f"The work pool {POOL} with its queues, the concurrency limits and the variables are in place.")
    for block, key in blocks_of(settings).items():
        if api.block(*block.split("/")) is None:
            print(f"There is no block {block} yet, which slipway.toml names at {key}.")


def main() -> int:
    """Exit status: 0 when all but the blocks is in place, 2 for wrong settings, 1 for anything else."""
    try:
        with _client() as api:
            try:
                _ensure_all(api, configuration.load())
            except httpx.TransportError as error:
                raise PrefectUnavailable(f"{api.ui_url} does not answer: {error}.") from error
    except SlipwayError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
