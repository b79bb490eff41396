"""A Prefect server of its own, with our deployments and no worker: tests say what becomes of the runs.

It wants a password, as the platform's does. The platform's own server is left alone, since the deployments
here have the names of the real ones.
"""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.config.load import CHECKOUT, SIGN_IN
from tests.support.waiting import wait_until

PATIENCE = 60
"""Seconds: until a busy server has answered, and until it has stopped."""

DEPLOYMENTS = (
    "ci/commit",
    "release/on-demand",
    "rollback/on-demand",
    "hold/on-demand",
    "resume/on-demand",
    "verify/on-demand",
    "publish-model/on-demand",
    "publish-evaluation/on-demand",
)

RUN_KEYS = {
    "id",
    "name",
    "state",
    "outcome",
    "message",
    "url",
    "tags",
    "created",
    "started",
    "ended",
}
"""What every document says of a run."""


@dataclass(frozen=True)
class Ended:
    """A program that ended: its exit status and what it wrote."""

    status: int
    output: str
    errors: str

    @property
    def last_line(self) -> str:
        return self.output.splitlines()[-1]


@dataclass(frozen=True)
class Slipway:
    """The program, in a shell with these variables."""

    variables: Mapping[str, str]

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=CHECKOUT,
            env=dict(self.variables),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **changed: str) -> Ended:
        return ended(Slipway({**self.variables, **changed}).start(*arguments))


def ended(process: subprocess.Popen[str]) -> Ended:
    """The program when it is over; it is killed where the test's own time ends first."""
    try:
        output, errors = process.communicate()
    finally:
        process.kill()
    return Ended(process.returncode, output, errors)


@dataclass(frozen=True)
class Prefect:
    """The server, as a worker and its page would use it."""

    url: str
    sign_in: str
    http: httpx.Client

    @property
    def port(self) -> int:
        return int(str(httpx.URL(self.url).port))

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """All of them, in any order."""
        flow, _, name = deployment.partition("/")
        query = {
            "flows": {"name": {"any_": [flow]}},
            "deployments": {"name": {"any_": [name]}},
        }
        found: list[dict[str, Any]] = self._posted("/flow_runs/filter", query)
        return found

    def deploy(self, deployment: str) -> None:
        flow, _, name = deployment.partition("/")
        content = {"name": name, "flow_id": self._posted("/flows/", {"name": flow})["id"]}
        self._posted("/deployments/", content | {"enforce_parameter_schema": False})

    def create(self, deployment: str, name: str, *tags: str) -> str:
        """The id of a run that is due."""
        found = self.http.get(f"/deployments/name/{deployment}").raise_for_status().json()
        body = {"name": name, "tags": tags, "state": {"type": "SCHEDULED"}}
        return str(self._posted(f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def put(self, run: str, state: str, message: str = "", name: str | None = None) -> None:
        body = {"state": {"type": state, "name": name, "message": message}, "force": True}
        self._posted(f"/flow_runs/{run}/set_state", body)

    def log(self, run: str, *lines: str, logger: str = "prefect.flow_runs") -> None:
        """Have the run write these lines, which are there when this returns."""
        before = self.logged(run)
        now = datetime.now(UTC)
        entries = [
            {
                "name": logger,
                "level": 20,
                "message": line,
                "timestamp": (now + number * timedelta(microseconds=1)).isoformat(),
                "flow_run_id": run,
            }
            for number, line in enumerate(lines)
        ]
        self.http.post("/logs/", json=entries).raise_for_status()
        wait_until(lambda: self.logged(run) == before + len(lines), "The log is not there")

    def logged(self, run: str) -> int:
        query = {"logs": {"flow_run_id": {"any_": [run]}}}
        pages = (self._posted("/logs/filter", query | {"offset": offset}) for offset in (0, 200))
        return sum(len(page) for page in pages)

    def state_of(self, run: str) -> str:
        return str(self.http.get(f"/flow_runs/{run}").raise_for_status().json()["state"]["name"])

    def end(self, run: str, state: str, message: str, name: str | None = None) -> None:
        """Have the run end so, with the line that closes every log."""
        self.put(run, state, message, name)
        self.log(run, f"Finished in state {name or state.title()}()")

    def _posted(self, path: str, content: object) -> Any:
        return self.http.post(path, json=content).raise_for_status().json()


def begun(
    slipway: Slipway, prefect: Prefect, deployment: str, *arguments: str, stdin: int = subprocess.DEVNULL
) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """The program, and the run that it has started of that deployment."""
    known = {run["id"] for run in prefect.runs(deployment)}
    process = slipway.start(*arguments, stdin=stdin)
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = [run for run in prefect.runs(deployment) if run["id"] not in known]
        return bool(found)

    wait_until(is_there, f"No run of {deployment} was started")
    return process, found[0]


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    with server_alone(tmp_path_factory.mktemp("prefect")) as found:
        for deployment in DEPLOYMENTS:
            found.deploy(deployment)
        yield found


@contextmanager
def server_alone(home: Path) -> Iterator[Prefect]:
    """A server without anything on it, which keeps what it knows in that folder."""
    sign_in = f"slipway:{secrets.token_urlsafe(9)}"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}/api"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "prefect",
            "server",
            "start",
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--no-services",
        ],
        env=_environment()
        | {
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_API_AUTH_STRING": sign_in,
            "PREFECT_API_URL": url,
            "PREFECT_API_AUTH_STRING": sign_in,
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        },
        stdout=(home / "server.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    user, _, password = sign_in.partition(":")
    try:
        with httpx.Client(base_url=url, auth=(user, password), timeout=PATIENCE, trust_env=False) as http:
            found = Prefect(url, sign_in, http)
            wait_until(lambda: is_healthy(http), "Prefect's server does not answer")
            yield found
    finally:
        process.terminate()
        process.wait(PATIENCE)


def is_healthy(http: httpx.Client) -> bool:
    try:
        return http.get("/health").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def slipway(prefect: Prefect, tmp_path: Path) -> Slipway:
    """The program of a person whom git knows as Ada, with that server in PREFECT_API_URL."""
    return Slipway(
        _environment()
        | {
            "PREFECT_API_URL": prefect.url,
            "PREFECT_API_AUTH_STRING": prefect.sign_in,
            "SLIPWAY_STATE": str(tmp_path / "state"),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "Ada",
        }
    )


@pytest.fixture
def slipway_of_a_platform(slipway: Slipway, prefect: Prefect, tmp_path: Path) -> Slipway:
    """The program beside a platform, in whose state folder it finds how to sign in."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / SIGN_IN).write_text(f"{prefect.sign_in}\n")
    return Slipway(
        {k: v for k, v in slipway.variables.items() if not k.startswith("PREFECT_")}
        | {"SLIPWAY_EMBEDDED__PREFECT_PORT": str(prefect.port)}
    )


def _environment() -> dict[str, str]:
    """This process's, without what names another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
