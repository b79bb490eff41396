"""A run that is cancelled through the server, at each stage that takes long: nothing of it is left."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import numpy_helper
from prefect.concurrency.sync import concurrency
from prefect_azure import AzureBlobStorageCredentials

from deployments.local.docker.engine import connect
from flows.config import load as configuration
from flows.runtime.global_lock import LATEST
from flows.runtime.tasks import decide_latest
from flows.services.images.container_engine import RUN_LABEL
from flows.services.models.model_check import describe
from flows.services.prefect.client import FlowRun
from tests.flows.conftest import Line
from tests.flows.lines import registry_through
from tests.flows.team import MODELS
from tests.stand_ins.unreliable_network import UnreliableLine, stalling_line
from tests.support.prefect_client import asking
from tests.support.waiting import wait_until

PATIENCE = 60
BALLAST = 2 << 20
"""Bytes of whatever is on its way when the line stalls, after a quarter of them."""


def start(line: Line, deployment: str, **parameters: Any) -> FlowRun:
    """A run through the worker, with this line's own settings."""
    with pytest.MonkeyPatch.context() as variables:
        for key, value in line.environment.items():
            variables.setenv(key, value)
        return line.start(deployment, **parameters)


def cancel(line: Line, run: FlowRun) -> FlowRun:
    line.platform.api.set_state(run, "CANCELLING", "a test asks for it")
    return line.platform.wait(run)


def containers(run: FlowRun) -> list[str]:
    found = connect().containers.list(
        all=True, filters={"label": f"{RUN_LABEL}={run.id}"}, ignore_removed=True
    )
    return [str(container.name) for container in found]


def processes(run: FlowRun) -> list[str]:
    """What runs in the folder that the run made for itself."""
    workspace = f"slipway-{run.id[-12:]}"
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [" ".join(command) for command in commands if any(workspace in word for word in command)]


def says(words: str) -> Callable[[Line, FlowRun], bool]:
    """Whether the team's own code has said so in the run."""
    return lambda line, run: words in line.platform.log(run)


def is_on_trial(line: Line, run: FlowRun) -> bool:
    """Whether the team's image is being tried out."""
    found = connect().containers.list(filters={"label": f"{RUN_LABEL}={run.id}"}, ignore_removed=True)
    return any(
        tag.startswith(f"{line.registry.name}:") for one in found if one.image for tag in one.image.tags
    )


def has_done(line: Line, run: FlowRun, task: str) -> bool:
    query = {"flow_runs": {"id": {"any_": [run.id]}}}
    with asking(line.platform.api) as client:
        found = client.post("/task_runs/filter", json=query).raise_for_status().json()
    return any(one["name"].startswith(f"{task}-") and one["state_type"] == "COMPLETED" for one in found)


def workspaces(run: FlowRun) -> list[Path]:
    """Folders that the run made for itself."""
    return list(Path(gettempdir()).glob(f"slipway-{run.id[-12:]}-*"))


def cancel_once_stalled(line: Line, run: FlowRun, network: UnreliableLine) -> None:
    assert network.spent.wait(PATIENCE), line.platform.log(run)
    cancel_and_see_it_gone(line, run)


def cancel_and_see_it_gone(line: Line, run: FlowRun) -> None:
    assert cancel(line, run).state == "CANCELLED"
    wait_until(lambda: not processes(run), "processes are left")
    assert workspaces(run) == []  # it cleared up itself: the worker's SIGKILL would have left them
    assert containers(run) == []


def through(network: UnreliableLine, line: Line) -> None:
    """Let the line's runs reach the blob store through that network."""
    direct = AzureBlobStorageCredentials.load(str(configuration.load().model.credentials))
    assert isinstance(direct, AzureBlobStorageCredentials)
    assert direct.connection_string is not None
    port = line.platform.instance.ports.blob_store_port
    diverted = direct.connection_string.get_secret_value().replace(f":{port}", f":{network.port}")
    AzureBlobStorageCredentials(connection_string=diverted).save(line.model, overwrite=True)
    line.environment["SLIPWAY_MODEL__CREDENTIALS"] = line.model


def large_model(folder: Path) -> Path:
    """The digits' model with weights that nothing uses."""
    folder = folder / "large"
    folder.mkdir(exist_ok=True)
    model = onnx.load(MODELS / "digits" / "model.onnx")
    unused = np.frombuffer(random.Random(0).randbytes(BALLAST), np.uint8)
    model.graph.initializer.append(numpy_helper.from_array(unused, "unused"))
    onnx.save(model, folder / "model.onnx")
    author = json.loads((MODELS / "digits" / "manifest.json").read_text())
    del author["digest"]  # it is another file's
    (folder / "manifest.json").write_text(json.dumps(author))
    return folder


def publish_large(line: Line, folder: Path) -> str:
    """The version."""
    file = large_model(folder) / "model.onnx"
    described = describe(file, file.with_name("manifest.json"), name=line.model, version="1.1.0")
    return line.models.publish(file, described).model.version


@pytest.mark.parametrize(
    ("behaviour", "reached"),
    [
        pytest.param({"tests": "hang"}, says("test_serves is waiting"), id="tests"),
        pytest.param({"build": "slow"}, says("the build is slow"), id="build", marks=pytest.mark.slow),
        pytest.param({"app": "hangs"}, is_on_trial, id="trial", marks=pytest.mark.slow),
    ],
)
def test_a_cancelled_ci_run_leaves_no_process_no_container_and_no_image(
    line: Line, behaviour: dict[str, str], reached: Callable[[Line, FlowRun], bool]
) -> None:
    line.environment["SLIPWAY_APP__READY_TIMEOUT"] = "300"
    line.commit(**behaviour)
    run = start(line, "ci/commit")
    wait_until(lambda: reached(line, run), "the run does not get there")
    cancel_and_see_it_gone(line, run)
    assert line.tags() == []
    assert line.latest is None


@pytest.mark.slow
def test_cancelled_during_the_push_nothing_of_the_image_is_in_the_registry(line: Line) -> None:
    line.commit(ballast=random.randbytes(BALLAST).hex())
    port = line.platform.instance.ports.registry_port
    with stalling_line(port, up=BALLAST // 4) as network:
        line.environment.update(registry_through(network.port, line.model))
        run = start(line, "ci/commit")
        cancel_once_stalled(line, run, network)
    assert "digest: sha256:" not in line.platform.log(run)  # docker's last word; small layers may be there
    assert line.image_tags() == []
    assert line.latest is None


@pytest.mark.slow
def test_cancelled_while_the_model_is_fetched_nothing_is_built_and_the_fetch_can_be_repeated(
    line: Line, tmp_path: Path
) -> None:
    publish_large(line, tmp_path)
    with stalling_line(line.platform.instance.ports.blob_store_port, down=BALLAST // 4) as network:
        through(network, line)
        run = start(line, "ci/commit")
        cancel_once_stalled(line, run, network)
    assert line.tags() == []
    assert line.latest is None
    assert line.ci().succeeded


@pytest.mark.slow
def test_cancelled_during_the_upload_no_version_is_visible_and_publishing_can_be_repeated(
    line: Line, tmp_path: Path
) -> None:
    folder = large_model(tmp_path)
    with stalling_line(line.platform.instance.ports.blob_store_port, up=BALLAST // 4) as network:
        through(network, line)
        parameters = {"file": str(folder), "name": line.model, "version": "1.1.0"}
        run = start(line, "publish-model/on-demand", **parameters)
        cancel_once_stalled(line, run, network)
    assert line.models.versions(line.model) == ["1.0.0"]
    assert line.models.newest(line.model).version == "1.0.0"
    assert publish_large(line, tmp_path) == line.models.newest(line.model).version


@pytest.mark.slow
@pytest.mark.exclusive
def test_cancelled_while_another_run_moves_latest_it_stays_and_the_limit_is_free_again(
    line: Line, prefect_of_the_platform: None
) -> None:
    with concurrency(LATEST, strict=True):
        run = start(line, "ci/commit")
        wait_until(lambda: has_done(line, run, decide_latest.name), "the run decides nothing")
        cancel_and_see_it_gone(line, run)
        assert line.latest is None
    assert "latest moved" in line.ci().message
