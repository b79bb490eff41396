"""The poller for one line: the deployment that it starts, the program, and the runs that it started."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deployments.local.prefect.server import flow_environment
from flows.config.load import CHECKOUT
from flows.core.trigger.run_labels import branch_tag, commit_tag
from flows.services.prefect.api import FlowRuns
from flows.services.prefect.client import FlowRun
from tests.flows.conftest import Line
from tests.support.prefect_client import asking
from tests.support.waiting import wait_until


def start_own_deployment(line: Line, variables: pytest.MonkeyPatch) -> None:
    """Have what watches the line start runs of a deployment of its own, with the settings in force now."""
    own = line.platform.own()
    variables.setenv("SLIPWAY_WATCH__DEPLOYMENT", f"ci/{line.model}")
    own.write_settings()
    with asking(line.platform.api) as client:
        ours: dict[str, Any] = client.get("/deployments/name/ci/commit").raise_for_status().json()
        kept = ("flow_id", "entrypoint", "parameter_openapi_schema", "tags")
        deployment = {key: ours[key] for key in kept} | {"name": line.model, "work_pool_name": own.pool}
        client.post("/deployments/", json=deployment).raise_for_status()


@contextmanager
def poller(line: Line, variables: pytest.MonkeyPatch) -> Iterator[None]:
    """`python -m flows.triggers.poller`, which looks every second, until the block ends."""
    start_own_deployment(line, variables)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.triggers.poller"],
        cwd=CHECKOUT,
        env=flow_environment(line.platform.instance) | {"SLIPWAY_WATCH__INTERVAL": "1"},
    )
    try:
        yield
        assert process.poll() is None, "the poller has ended by itself"
    finally:
        process.terminate()
        process.wait()


def runs_for(line: Line, sha: str, model: str = "1.0.0") -> list[FlowRun]:
    """Those of that commit of the released branch with that model, oldest first."""
    with FlowRuns() as runs:
        return runs.with_tags(branch_tag("main"), commit_tag(sha), f"model:{line.model} {model}")


def await_run(line: Line, sha: str) -> FlowRun:
    """The run of that commit that something else starts, when it is over."""
    wait_until(lambda: bool(runs_for(line, sha)), f"nothing starts a run for {sha[:7]}")
    return line.platform.wait(runs_for(line, sha)[-1])
