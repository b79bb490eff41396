"""What an older platform had on SQLite, carried over once to the server on PostgreSQL.

Blocks, variables, and the switches of schedules and automations: what people have set by hand. They are read
through a server that is started for that on the old database. Runs, logs and artifacts stay behind.
"""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from deployments.local.instance import Instance
from deployments.local.prefect import auth
from deployments.local.prefect.server import flow_environment
from deployments.local.preflight import is_taken
from deployments.local.processes import MARK, terminate
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from deployments.prefect.api import PrefectApi
from flows.services.prefect.client import http_client

START_TIMEOUT = 180
"""Seconds until the old server answers: it may have to bring its tables up to date first."""

PAGE = 200


@dataclass(frozen=True)
class Switches:
    """By name: whether a deployment is paused and each of its schedules is active, an automation enabled."""

    paused: Mapping[str, bool]
    schedules: Mapping[str, list[bool]]
    automations: Mapping[str, bool]


@dataclass(frozen=True)
class OldPlatform:
    """What the old server had; `blocks` with their types, schemas and secrets, as its API gives them."""

    blocks: list[dict[str, Any]] = field(repr=False)
    variables: list[dict[str, Any]] = field(repr=False)
    switches: Switches
    left_behind: Mapping[str, int]
    """How many there are of what is not carried over."""


def is_due(instance: Instance) -> bool:
    """Whether there is an old database that nothing was carried over from."""
    return _database(instance).exists()


def read(instance: Instance, say: Say) -> OldPlatform:
    """What the old database holds; `PlatformFailed` where its server does not start."""
    say("reading the old database on SQLite")
    with old_server(instance) as http:
        return OldPlatform(
            blocks=_pages(http, "/block_documents/filter", {"include_secrets": True}),
            variables=_pages(http, "/variables/filter", {}),
            switches=_switches(http),
            left_behind={
                "flow runs": int(_post(http, "/flow_runs/count", {})),
                "log lines": _count_logs(_database(instance)),
                "artifacts": int(_post(http, "/artifacts/count", {})),
            },
        )


def put_values(old: OldPlatform, api: PrefectApi, say: Say) -> None:
    """Have the blocks and variables on the new server; those that it has under the same name stay."""
    with http_client(f"{api.ui_url}/api", api.sign_in, trust_env=False) as http:
        known = {_key(block) for block in _pages(http, "/block_documents/filter", {})}
        ids = {block["id"]: block["id"] for block in old.blocks}
        for block in sorted(old.blocks, key=lambda block: bool(block["block_document_references"])):
            if _key(block) not in known:
                ids[block["id"]] = _put_block(http, block, ids)
        present = {variable["name"] for variable in _pages(http, "/variables/filter", {})}
        for variable in old.variables:
            if variable["name"] not in present:
                _post(http, "/variables/", {key: variable[key] for key in ("name", "value", "tags")})
    say(f"{len(old.blocks)} blocks and {len(old.variables)} variables are carried over")


def put_switches(old: OldPlatform, api: PrefectApi, say: Say) -> None:
    """Pause what was paused, once deployments and automations are registered; say what stays behind."""
    with http_client(f"{api.ui_url}/api", api.sign_in, trust_env=False) as http:
        for name, deployment in _deployments(http).items():
            if old.switches.paused.get(name):
                _patch(http, f"/deployments/{deployment['id']}", {"paused": True})
            wanted = old.switches.schedules.get(name, [])
            for schedule, active in zip(deployment["schedules"], wanted, strict=False):
                path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
                _patch(http, path, {"active": active})
        for automation in _pages(http, "/automations/filter", {}):
            enabled = old.switches.automations.get(automation["name"], automation["enabled"])
            _patch(http, f"/automations/{automation['id']}", {"enabled": enabled})
    say("the switches of schedules and automations are carried over")


def finish(instance: Instance, old: OldPlatform, say: Say) -> None:
    """Put the old database aside, so that this happens once, and say what is in it alone."""
    aside = _database(instance).with_suffix(".db.carried-over")
    for part in ("-wal", "-shm"):
        _database(instance).with_name(f"{_database(instance).name}{part}").unlink(missing_ok=True)
    _database(instance).replace(aside)
    counts = ", ".join(f"{count} {what}" for what, count in old.left_behind.items())
    say(f"Not carried over from SQLite: {counts}. They are in {aside}; delete it when you need them no more.")


def _put_block(http: httpx.Client, block: Mapping[str, Any], ids: Mapping[str, str]) -> str:
    """The new id of the block; its type and schema are made where the server has them not."""
    kind = _found(http, f"/block_types/slug/{block['block_type']['slug']}")
    if kind is None:
        wanted = ("name", "slug", "logo_url", "documentation_url", "description", "code_example")
        kind = _post(http, "/block_types/", {key: block["block_type"][key] for key in wanted})
    old_schema = block["block_schema"]
    schema = _found(http, f"/block_schemas/checksum/{old_schema['checksum']}")
    if schema is None:
        content = {key: old_schema[key] for key in ("fields", "capabilities", "version")}
        schema = _post(http, "/block_schemas/", content | {"block_type_id": kind["id"]})
    references = {
        name: {"$ref": {"block_document_id": ids[reference["block_document"]["id"]]}}
        for name, reference in block["block_document_references"].items()
    }
    content = {
        "name": block["name"],
        "data": block["data"] | references,
        "block_type_id": kind["id"],
        "block_schema_id": schema["id"],
    }
    return str(_post(http, "/block_documents/", content)["id"])


def _key(block: Mapping[str, Any]) -> tuple[str, str]:
    return block["block_type"]["slug"], block["name"]


def _switches(http: httpx.Client) -> Switches:
    deployments = _deployments(http)
    return Switches(
        paused={name: one["paused"] for name, one in deployments.items()},
        schedules={name: [s["active"] for s in one["schedules"]] for name, one in deployments.items()},
        automations={one["name"]: one["enabled"] for one in _pages(http, "/automations/filter", {})},
    )


def _deployments(http: httpx.Client) -> dict[str, dict[str, Any]]:
    """By flow/deployment."""
    flows = {flow["id"]: flow["name"] for flow in _pages(http, "/flows/filter", {})}
    found = _pages(http, "/deployments/filter", {})
    return {f"{flows[one['flow_id']]}/{one['name']}": one for one in found}


@contextmanager
def old_server(instance: Instance) -> Iterator[httpx.Client]:
    """A client of a server on the old database, which starts no run and ends with the context."""
    port = next(port for port in random.sample(range(32_000, 32_700), 50) if not is_taken(port))
    command = ("server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-services")
    url = f"http://127.0.0.1:{port}"
    log = instance.state / "logs" / "prefect-server-on-sqlite.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    api = PrefectApi(url, auth.ensure(instance))
    with log.open("w") as stream:
        server = psutil.Popen(
            [sys.executable, "-m", "prefect", *command],
            cwd=instance.checkout,
            env=old_environment(instance, f"{url}/api"),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(
                api.is_healthy,
                START_TIMEOUT,
                "Prefect's server on the old database does not answer",
                f"Read {log}, then run this again.",
            )
            with http_client(f"{api.ui_url}/api", api.sign_in, trust_env=False) as http:
                yield http
        finally:
            terminate([*server.children(recursive=True), server])


def old_environment(instance: Instance, api_url: str) -> dict[str, str]:
    """The variables of the server on the old database, and of its clients."""
    return flow_environment(instance) | {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{_database(instance)}",
        "PREFECT_API_URL": api_url,
        MARK: instance.name,
    }


def _count_logs(database: Path) -> int:
    """Prefect's API lists logs and does not count them."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM log").fetchone()[0])


def _pages(http: httpx.Client, path: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = _post(http, path, {**query, "limit": PAGE, "offset": len(found)})
        found += page
        if len(page) < PAGE:
            return found


def _post(http: httpx.Client, path: str, body: object) -> Any:
    return http.post(path, json=body).raise_for_status().json()


def _patch(http: httpx.Client, path: str, body: object) -> None:
    http.patch(path, json=body).raise_for_status()


def _found(http: httpx.Client, path: str) -> Any:
    """What is there; None if nothing is."""
    answer = http.get(path)
    return None if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().json()


def _database(instance: Instance) -> Path:
    return instance.state / "prefect" / "prefect.db"
