"""Runs through a worker of Prefect's with the settings of one test process.

They have a work pool of their own, whose template names a settings file. The file is written before each run
from what is in force in the process, so that runs see what a test has changed.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import tomli_w

from deployments.local.instance import Instance
from deployments.local.prefect.server import flow_environment
from deployments.local.processes import MARK, terminate
from deployments.prefect.api import POOL, PrefectApi
from flows.config import load as configuration
from flows.services.prefect.client import FlowRun
from tests.support import worker
from tests.support.prefect_client import asking

COPIED = (
    *("flow_id", "entrypoint", "path", "parameters", "tags", "description"),
    *("parameter_openapi_schema", "enforce_parameter_schema", "pull_steps"),
)


@dataclass(frozen=True)
class OwnRuns:
    """The work pool of this process."""

    api: PrefectApi
    folder: Path

    @property
    def suffix(self) -> str:
        """What the names of its deployments end with."""
        return worker.name() or "alone"

    @property
    def pool(self) -> str:
        """The pool's name."""
        return f"{POOL}-{self.suffix}"

    @property
    def variables(self) -> dict[str, str]:
        """What its runs read their settings by."""
        return {"SLIPWAY_CONFIG": str(self.folder / "slipway.toml"), "SLIPWAY_STATE": str(self.folder)}

    def deployment(self, name: str) -> str:
        """The pool's own copy of flow/deployment."""
        return f"{name}-{self.suffix}"

    def start(self, deployment: str, **parameters: Any) -> FlowRun:
        """A run of the copy of flow/deployment, with the settings that are in force here now."""
        self.write_settings()
        return self.api.start(self.deployment(deployment), parameters)

    def write_settings(self) -> None:
        """Let the pool's runs have the settings that are in force here now."""
        settings = configuration.load().model_dump(mode="json", exclude_none=True)
        settings["runs"]["recover"] = self.deployment(settings["runs"]["recover"])
        settings["watch"]["deployment"] = self.deployment(settings["watch"]["deployment"])
        beside = self.folder / "slipway.new"
        beside.write_text(tomli_w.dumps(settings))
        beside.replace(self.folder / "slipway.toml")

    def make(self) -> None:
        """Have the pool, with copies of all deployments that run in the platform's."""
        with asking(self.api) as client:
            template = _ok(client.get(f"/work_pools/{POOL}"))["base_job_template"]
            template["job_configuration"]["env"] |= self.variables
            body = {"name": self.pool, "type": "process", "base_job_template": template}
            if client.post("/work_pools/", json=body).status_code == httpx.codes.CONFLICT:
                client.patch(f"/work_pools/{self.pool}", json={"base_job_template": template})
            query = {"work_pools": {"name": {"any_": [POOL]}}}
            for original in _ok(client.post("/deployments/filter", json=query)):
                copy = {key: original[key] for key in COPIED}
                named = {"name": self.deployment(original["name"]), "work_pool_name": self.pool}
                _ok(client.post("/deployments/", json=copy | named))


@contextmanager
def own_runs(instance: Instance, api: PrefectApi) -> Iterator[OwnRuns]:
    """The pool, with a worker until the block ends."""
    runs = OwnRuns(api, instance.state / f"runs-{worker.name() or 'alone'}")
    runs.folder.mkdir(exist_ok=True)
    runs.make()
    inherited = {k: v for k, v in flow_environment(instance).items() if not k.startswith("SLIPWAY_")}
    command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process"]
    with (runs.folder / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--pool", runs.pool, "--name", runs.pool],
            cwd=configuration.CHECKOUT,
            env=inherited | runs.variables | {MARK: instance.name, "PREFECT_WORKER_QUERY_SECONDS": "2"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield runs
        finally:
            with suppress(psutil.NoSuchProcess):
                prefect_worker = psutil.Process(process.pid)
                terminate([prefect_worker, *prefect_worker.children(recursive=True)])
            process.wait()


def _ok(answer: httpx.Response) -> Any:
    return answer.raise_for_status().json()
