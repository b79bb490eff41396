"""A server of Prefect's that is not prepared, as the README has it: from nothing to a run of ours."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deployments.local.instance import Instance
from deployments.local.preflight import is_taken
from deployments.local.processes import MARK, terminate
from deployments.prefect import work_pool
from deployments.prefect.api import PrefectApi
from flows.config.load import CHECKOUT, load
from flows.config.on_prefect import variables_of
from flows.core.trigger.crash import HEARTBEAT
from flows.runtime.global_lock import LATEST
from flows.services.prefect.client import FlowRun
from tests.support.prefect_client import asking
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.platform, pytest.mark.slow]

SIGN_IN = "user:password"


@dataclass(frozen=True)
class Elsewhere:
    """A server, and the shell of a user who works with it in this checkout."""

    api: PrefectApi
    shell: dict[str, str]

    def run(self, *module: str) -> str:
        """What `python -m` with that module and its arguments prints."""
        return subprocess.run(
            [sys.executable, "-m", *module],
            cwd=CHECKOUT,
            env=self.shell,
            capture_output=True,
            text=True,
            check=True,
        ).stdout


@contextmanager
def running(*module: str, shell: dict[str, str], log: Path) -> Iterator[None]:
    """`python -m` with that module and its arguments, ended with all that it started."""
    with log.open("w") as stream:
        program = psutil.Popen(
            [sys.executable, "-m", *module], cwd=CHECKOUT, env=shell, stdout=stream, stderr=stream
        )
        try:
            yield
        finally:
            terminate([*program.children(recursive=True), program])


@pytest.fixture(scope="module")
def elsewhere(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    folder = tmp_path_factory.mktemp("elsewhere")
    port = next(port for port in random.sample(range(32_000, 32_700), 50) if not is_taken(port))
    address = ("--host", "127.0.0.1", "--port", str(port))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "SLIPWAY_"))}
    shell = inherited | {
        "PREFECT_HOME": str(folder),
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": SIGN_IN,
        "PREFECT_SERVER_API_AUTH_STRING": SIGN_IN,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "SLIPWAY_STATE": str(folder / "state"),
        "DO_NOT_TRACK": "1",
        MARK: instance.name,  # by which the next session finds what this one left, if it was killed
    }
    with (
        running("prefect", "server", "start", *address, shell=shell, log=folder / "server.log"),
        PrefectApi(f"http://127.0.0.1:{port}", SIGN_IN) as api,
    ):
        wait_until(api.is_healthy, "The server does not answer")
        yield Elsewhere(api, shell)


def test_one_command_makes_what_the_code_needs_and_repairs_it(elsewhere: Elsewhere) -> None:
    output = elsewhere.run("deployments.prefect.work_pool")
    with asking(elsewhere.api) as http:
        http.patch("/work_pools/slipway/queues/ci", json={"concurrency_limit": 7}).raise_for_status()
        http.delete(f"/v2/concurrency_limits/{LATEST}").raise_for_status()
        assert elsewhere.run("deployments.prefect.work_pool") == output
        assert elsewhere.api.queue_limits() == work_pool.QUEUES
        assert http.get(f"/v2/concurrency_limits/{LATEST}").raise_for_status().json()["limit"] == 1
        for name, value in variables_of(load()).items():
            assert http.get(f"/variables/name/{name}").raise_for_status().json()["value"] == value


def test_it_names_the_blocks_that_are_missing_and_no_others(elsewhere: Elsewhere) -> None:
    missing = "There is no block secret/slipway-production yet, which slipway.toml names at [environments"
    assert missing in elsewhere.run("deployments.prefect.work_pool")
    save = "from prefect.blocks.system import Secret; Secret(value='s').save('slipway-production')"
    subprocess.run([sys.executable, "-c", save], cwd=CHECKOUT, env=elsewhere.shell, check=True)
    output = elsewhere.run("deployments.prefect.work_pool")
    assert missing not in output
    assert "secret/slipway-staging" in output


def test_a_worker_then_runs_the_flows_of_the_checkout(elsewhere: Elsewhere, tmp_path: Path) -> None:
    elsewhere.run("deployments.prefect.work_pool")
    elsewhere.run("prefect", "--no-prompt", "deploy", "--all")
    assert "Slipway: run crashed: made" in elsewhere.run("deployments.prefect.automations")
    some = elsewhere.api.start("release/on-demand", {})
    elsewhere.api.set_state(some, "COMPLETED", "as if it had run")
    asked = start_with_variables(elsewhere, "mark-lost/on-demand", {"run": some.id, "seconds": 90}, tmp_path)
    worker = ("prefect", "worker", "start", "--pool", "slipway", "--type", "process")
    with running(*worker, shell=elsewhere.shell, log=tmp_path / "worker.log"):
        wait_until(lambda: elsewhere.api.flow_run(asked.id).is_over, "No worker has run it")
    ended = elsewhere.api.flow_run(asked.id)
    assert ended.state_name == "Skipped", (ended, (tmp_path / "worker.log").read_text())
    assert "owes no heartbeat" in ended.message
    assert not (tmp_path / "executed").exists()


def start_with_variables(
    elsewhere: Elsewhere, deployment: str, parameters: dict[str, object], folder: Path
) -> FlowRun:
    """A run with job variables of its own, as the form in Prefect's UI sends them."""
    variables = {
        "command": f"touch {folder / 'executed'}",
        "env": {"SLIPWAY_CONFIG": "/nowhere", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "99"},
        "working_dir": str(folder),
    }
    with asking(elsewhere.api) as http:
        found = http.get(f"/deployments/name/{deployment}").raise_for_status().json()["id"]
        body = {"parameters": parameters, "job_variables": variables, "state": {"type": "SCHEDULED"}}
        run = http.post(f"/deployments/{found}/create_flow_run", json=body).raise_for_status().json()
    return elsewhere.api.flow_run(run["id"])


def test_who_starts_a_run_does_not_choose_what_is_executed(elsewhere: Elsewhere) -> None:
    elsewhere.run("deployments.prefect.work_pool")
    with asking(elsewhere.api) as http:
        template = http.get("/work_pools/slipway").raise_for_status().json()["base_job_template"]
    configuration, variables = template["job_configuration"], template["variables"]["properties"]
    assert {"command", "env", "working_dir"} & set(variables) == set()
    assert configuration["command"] == f"{sys.executable} -m prefect.engine"
    assert configuration["working_dir"] == str(CHECKOUT)
    # Prefect's own 180 s would have every longer run taken for lost
    assert configuration["env"] == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT)}


def test_a_server_that_is_away_is_named(elsewhere: Elsewhere) -> None:
    shell = elsewhere.shell | {"PREFECT_API_URL": "http://127.0.0.1:1/api"}
    ended = subprocess.run(
        [sys.executable, "-m", "deployments.prefect.work_pool"],
        cwd=CHECKOUT,
        env=shell,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "http://127.0.0.1:1 does not answer" in ended.stderr
