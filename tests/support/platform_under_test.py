"""What tests may do with the platform."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.instance import Instance
from deployments.local.prefect import flow_runs
from deployments.local.prefect.server import flow_environment
from deployments.prefect.api import PrefectApi
from flows.services.prefect.client import FlowRun
from tests.support.own_runs import OwnRuns


@dataclass(frozen=True)
class PlatformUnderTest:
    """A whole platform; `source` is the repository that its flows build from, on branch main."""

    instance: Instance
    api: PrefectApi
    kubeconfig: Path
    source: Path
    own: Callable[[], OwnRuns]
    """The work pool of this process, made the first time that it is asked for."""

    @property
    def app_url(self) -> str:
        """Where what is released answers."""
        return f"http://127.0.0.1:{self.instance.ports.app_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which another process, and its Prefect, speak of this platform."""
        return flow_environment(self.instance) | {"SLIPWAY_SOURCE__REPOSITORY": str(self.source)}

    def run(self, deployment: str, **parameters: Any) -> FlowRun:
        """A run of flow/deployment through server and worker, however it ended."""
        return self.wait(self.start(deployment, **parameters))

    def start(self, deployment: str, **parameters: Any) -> FlowRun:
        """The same, begun."""
        return self.api.start(deployment, parameters)

    def wait(self, run: FlowRun) -> FlowRun:
        """That run when it is over; its log goes to pytest's captured output."""
        return flow_runs.follow(self.api, run, print)

    def log(self, run: FlowRun) -> str:
        """All that the run logged."""
        return "\n".join(line.message for line in self.api.log_lines(run, skip=0))
