"""A run that is cancelled through the server, at each stage that takes long: nothing of it is left."""

import time
from typing import Any

import psutil
import pytest

from deployments.local.engine import connect
from deployments.local.polling import wait_until
from deployments.local.prefect_api import FlowRun
from flows.services.images import RUN_LABEL
from tests.flows.conftest import Line

PATIENCE = 60


def start(line: Line, deployment: str, **parameters: Any) -> FlowRun:
    """A run through the worker, with this line's own settings."""
    return line.platform.api.start(deployment, parameters, line.environment)


def cancel(line: Line, run: FlowRun) -> FlowRun:
    line.platform.api.set_state(run, "CANCELLING", "a test asks for it")
    return line.platform.wait(run)


def containers(run: FlowRun) -> list[str]:
    found = connect().containers.list(all=True, filters={"label": f"{RUN_LABEL}={run.id}"})
    return [str(container.name) for container in found]


def processes(run: FlowRun) -> list[str]:
    """What runs in the folder that the run made for itself."""
    workspace = f"slipway-{run.id[-12:]}"
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [" ".join(command) for command in commands if any(workspace in word for word in command)]


@pytest.mark.parametrize(
    ("behaviour", "reached"),
    [
        ({"tests": "hang"}, "test_serves is waiting"),
        ({"build": "slow"}, "the build is slow"),
        ({"app": "hangs"}, "container of the trial"),
    ],
    ids=["tests", "build", "trial"],
)
def test_a_cancelled_ci_run_leaves_no_process_no_container_and_no_image(
    line: Line, behaviour: dict[str, str], reached: str
) -> None:
    line.environment["SLIPWAY_APP__READY_TIMEOUT"] = "300"
    line.commit(**behaviour)
    run = start(line, "ci/commit")
    wait_until(lambda: reached in line.platform.log(run), PATIENCE, f"the run has not logged {reached!r}")
    ended = cancel(line, run)
    assert ended.state == "CANCELLED"
    wait_until(lambda: not processes(run), 10, "processes are left")
    assert containers(run) == []
    assert line.tags() == []
    assert line.latest is None


def test_a_cancelled_release_ends_within_the_grace_that_prefect_gives(line: Line) -> None:
    line.environment["SLIPWAY_ENVIRONMENTS__PRODUCTION__ROLLOUT_TIMEOUT"] = "300"
    line.commit(app="never ready", where="cluster")
    line.ci()
    run = start(line, "release/on-demand", image="latest")
    reached = "new replicas ready"
    wait_until(lambda: reached in line.platform.log(run), PATIENCE, f"the run has not logged {reached!r}")
    asked = time.monotonic()
    ended = cancel(line, run)
    assert ended.state == "CANCELLED"
    assert time.monotonic() - asked < 30
