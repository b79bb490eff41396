"""Prefect's server and the worker that executes flow runs, supervised and tuned for short trigger times."""

import json
import os
import sys
from typing import Any

from deployments.local import supervision
from deployments.local.instance import Instance
from deployments.local.prefect import auth, no_authorities
from deployments.local.progress import Say
from deployments.local.stores.database import DatabaseAccess
from deployments.local.supervision import Program
from deployments.local.wait import wait_until
from deployments.prefect import work_pool
from deployments.prefect.api import POOL, PrefectApi
from flows.core.trigger.crash import is_lost
from flows.credentials import environment

SERVER = "prefect-server"
WORKER = "prefect-worker"
RECEIVER = "receiver"
POLLER = "poller"

STOPPED = "Stopped"
"""The state's name of a run that `make stop` ended: its type is that of a crash, but nothing restarts it."""

START_TIMEOUT = 180
"""Seconds until a fresh server has made its tables, on a busy machine."""


def up(instance: Instance, database: DatabaseAccess, say: Say) -> PrefectApi:
    """The server with its work pool and a worker; `PlatformFailed` names the log to read."""
    supervision.ensure(instance, _programs(instance, database), flow_environment(instance))
    supervision.start(instance, SERVER)
    api = client(instance)
    _await_health(instance, api, say)
    work_pool.ensure(api, instance.checkout)
    if not supervision.is_up(instance, WORKER):
        give_up_orphans(api)  # before a new worker takes any: those would look the same
    supervision.start(instance, WORKER)
    return api


def down(instance: Instance) -> None:
    """End worker, flow runs and server; a run that was under way ends as *Stopped*, and is not restarted."""
    supervision.stop(instance, WORKER)
    with client(instance) as api:
        if api.is_healthy():
            give_up_orphans(api, STOPPED)
    supervision.end(instance)


def client(instance: Instance) -> PrefectApi:
    """A client of the server, whether it is up or not."""
    return PrefectApi(f"http://127.0.0.1:{instance.ports.prefect_port}", auth.read(instance))


def give_up_orphans(api: PrefectApi, name: str | None = None) -> None:
    """Mark runs whose worker is gone as crashed: else they would hold their queue's places for ever.

    The automation for crashed runs restarts them, unless `name` gives their state another name.
    """
    message = "The platform was stopped while this run was under way."
    for run in api.flow_runs("PENDING", "RUNNING", "PAUSED", "CANCELLING"):
        if run.state == "CANCELLING":
            api.set_state(run, "CANCELLED", message)
        elif run.state == "PENDING" or is_lost(run.state, run.state_name):
            api.set_state(run, "CRASHED", message, name)


def client_settings(instance: Instance) -> dict[str, Any]:
    """What Prefect's command line and flow runs need to find this server; the keys of prefect.toml."""
    home = instance.state / "prefect"
    return {
        "home": str(home),
        "profiles_path": str(home / "profiles.toml"),
        "api": {
            "url": f"http://127.0.0.1:{instance.ports.prefect_port}/api",
            "auth_string": auth.ensure(instance),
        },
    }


def flow_environment(instance: Instance) -> dict[str, str]:
    """The variables of server, worker and flow runs: this shell's, without other servers and credentials."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    settings = client_settings(instance)
    return (
        inherited
        | _own_settings(instance)
        | {
            "PREFECT_HOME": settings["home"],
            "PREFECT_PROFILES_PATH": settings["profiles_path"],
            "PREFECT_API_URL": settings["api"]["url"],
            "PREFECT_API_AUTH_STRING": settings["api"]["auth_string"],
            "PREFECT_SERVER_API_AUTH_STRING": settings["api"]["auth_string"],
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            no_authorities.VARIABLE: str(no_authorities.ensure(instance.state / "prefect")),
            **_WITHOUT_TELEMETRY,
        }
    )


def _own_settings(instance: Instance) -> dict[str, str]:
    """What makes flows.config.load in another process speak of this platform."""
    embedded = {
        f"SLIPWAY_EMBEDDED__{key.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for key, value in instance.ports.model_dump().items()
    }
    return embedded | {"SLIPWAY_STATE": str(instance.state)}


_NOT_INHERITED = ("PREFECT_", "PYTHONDONTWRITEBYTECODE", *environment.NAMES)
"""Other servers; what would have every flow run compile our modules again; and a person's own credentials."""

_EVENTS_ARE_KEPT = {"PREFECT_SERVER_SERVICES_EVENT_PERSISTER_MAX_FLUSH_RETRIES": "50000"}
"""While the database is away, the server keeps events in memory, at most 50,000.

It tries to write them every 5 s, and with each event above 20. By default it drops them after five attempts.
"""

_OLD_ENTRIES_GO = {"PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans"}
"""Events go after a week, and once a day the logs and artifacts of runs that housekeeping has deleted."""

_WITHOUT_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
}


def _programs(instance: Instance, database: DatabaseAccess) -> list[Program]:
    prefect = (sys.executable, "-m", "prefect")
    address = ("--host", "127.0.0.1", "--port", str(instance.ports.prefect_port))
    queues = [part for queue in work_pool.QUEUES for part in ("--work-queue", queue)]
    return [
        Program(
            SERVER,
            (*prefect, "server", "start", *address),
            {
                "PREFECT_API_DATABASE_CONNECTION_URL": database.connection_url,
                **_EVENTS_ARE_KEPT,
                **_OLD_ENTRIES_GO,
            },
        ),
        Program(
            WORKER,
            (
                *prefect,
                "worker",
                "start",
                "--pool",
                POOL,
                "--type",
                "process",
                "--name",
                "slipway",
                *queues,
            ),
        ),
        Program(RECEIVER, _receiver(instance.ports.hooks_port)),
        Program(POLLER, (sys.executable, "-m", "flows.triggers.poller")),
    ]


def _receiver(port: int) -> tuple[str, ...]:
    gunicorn = (sys.executable, "-m", "gunicorn", "--config", "python:flows.triggers.gunicorn_conf")
    return (*gunicorn, "--bind", f"127.0.0.1:{port}")


def _await_health(instance: Instance, api: PrefectApi, say: Say) -> None:
    if not _answers(instance, api):
        say("starting, which takes about 20 s the first time")
    wait_until(
        lambda: _answers(instance, api),
        START_TIMEOUT,
        f"The Prefect server at {api.ui_url} does not answer",
        f"Read {supervision.log_file(instance, SERVER)}, then run this again.",
    )


def _answers(instance: Instance, api: PrefectApi) -> bool:
    """Whether a healthy server listens on the port, and it is this platform's."""
    return supervision.listens(instance, SERVER, instance.ports.prefect_port) and api.is_healthy()
