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
from flows.config import network
from flows.config.load import CHECKOUT, Settings
from flows.config.on_prefect import blocks_of, variables_of
from flows.core.errors import PrefectUnavailable, SettingsError, SlipwayError
from flows.core.trigger.crash import HEARTBEAT

QUEUES = {"ci": 2, "release": 4, "checks": 2}
"""Work queues, and how many runs of each go on at once. A lock in the cluster keeps two releases of one
environment apart; one that waits for it, or for a person, is not to hold up the others, nor a check."""

RETIRED = ("silence/on-demand", "again/on-crash", "housekeeping/weekly")
"""Deployments that have other names by now: mark-lost, restart-crashed and housekeeping/daily."""

LIMITS = {"slipway-latest": 1}
"""Global concurrency limits that the flows take slots of, and how many there are."""


def ensure(api: PrefectApi, checkout: Path) -> None:
    """The pool, whose workers run the flows of that checkout, and the limits."""
    api.ensure_work_pool(_job_template(api, checkout), QUEUES)
    for limit, slots in LIMITS.items():
        api.ensure_limit(limit, slots)


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
        settings = configuration.load()
        network.enter(settings)
        with _client() as api:
            try:
                _ensure_all(api, settings)
            except httpx.TransportError as error:
                raise PrefectUnavailable(f"{api.ui_url} does not answer: {error}.") from error
    except SlipwayError as error:
        print(error.with_docs, file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
