"""A platform of its own to measure on: whole, as `make run` brings it up, and removed at the end."""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import onnx
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterTags
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from rich.console import Console

from deployments.local import platform
from deployments.local.cluster import preparation
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import triggers
from deployments.local.prefect.server import flow_environment
from deployments.local.progress import Display, Steps
from deployments.prefect.api import PrefectApi
from flows.config import load as configuration
from flows.config.load import CHECKOUT, load_as
from flows.core.trigger.run_labels import commit_tag
from flows.credentials.prefect_blocks import blob_store, secret
from flows.services.models.model_check import describe
from flows.services.models.model_store import ModelStore
from flows.services.prefect.client import FlowRun
from tests.support.instance_apart import instance_apart

TEAM_APP = CHECKOUT / "tests" / "flows" / "team_app"
MODEL = CHECKOUT / "tests" / "app" / "models" / "digits"
URL = "https://github.com/acme/app.git"
LOOK = 0.02
PATIENCE = 120

Found = TypeVar("Found")


@dataclass(frozen=True)
class Line:
    """A repository, a model, and the platform that makes an image of them; one was made already."""

    instance: Instance
    api: PrefectApi
    repository: Path
    secret: str

    @property
    def hooks_url(self) -> str:
        return triggers.hooks_url(self.instance)

    @property
    def environment(self) -> Mapping[str, str]:
        """With which a process of its own is one of the platform's."""
        return flow_environment(self.instance)

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
        done = subprocess.run(command, cwd=self.repository, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self) -> str:
        """A commit that changes nothing: its run has no image to build."""
        self.git("commit", "--quiet", "--allow-empty", "--message", f"A change {uuid.uuid4().hex[:4]}")
        return self.git("rev-parse", "HEAD")

    def publish(self) -> None:
        """A model that no run has seen before."""
        folder = self.instance.state / "model"
        folder.mkdir(exist_ok=True)
        network = onnx.load(MODEL / "model.onnx")
        network.doc_string = uuid.uuid4().hex
        onnx.save(network, folder / "model.onnx")
        wanted = configuration.load().model
        file = folder / "model.onnx"
        author = json.loads((MODEL / "manifest.json").read_text())
        del author["digest"]  # it is another file's
        manifest = folder / "manifest.json"
        manifest.write_text(json.dumps(author))
        described = describe(file, manifest, name=wanted.name, version=f"1.0.{time.time_ns()}")
        ModelStore(blob_store(wanted), self.instance.state / "published").publish(file, described)

    def runs_of(self, sha: str) -> list[str]:
        """The ids of the runs that CI made of the commit."""
        tags = FlowRunFilterTags(all_=[commit_tag(sha)])
        with get_client(sync_client=True) as client:
            return [str(run.id) for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tags))]

    def first_stage(self, run: str) -> datetime:
        """When the first stage of the run began to run, once it has."""
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[uuid.UUID(run)]))

        def began() -> datetime | None:
            stages = client.read_task_runs(flow_run_filter=wanted)
            return min((stage.start_time for stage in stages if stage.start_time), default=None)

        with get_client(sync_client=True) as client:
            return awaited(began, f"a stage of {self.api.ui_url}/runs/flow-run/{run}")

    def ended(self, run: str) -> FlowRun:
        """The run when it is over."""

        def over() -> FlowRun | None:
            found = self.api.flow_run(run)
            return found if found.is_over else None

        return awaited(over, f"the end of {self.api.ui_url}/runs/flow-run/{run}")


def awaited(look: Callable[[], Found | None], what: str) -> Found:
    """What a look finds at last."""
    deadline = time.monotonic() + PATIENCE
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"{PATIENCE} s were not enough for {what}.")
        time.sleep(LOOK)
    return found


@contextmanager
def line(interval: float) -> Iterator[Line]:
    """A line whose watch looks every so many seconds, once it is started."""
    with instance_apart("bench") as instance:
        repository = instance.state / "source"
        shutil.rmtree(repository, ignore_errors=True)
        shutil.copytree(TEAM_APP, repository)
        os.environ |= {
            "SLIPWAY_STATE": str(instance.state),
            "SLIPWAY_SOURCE__REPOSITORY": str(repository),
            "SLIPWAY_APP__CONTEXT": json.dumps(sorted(path.name for path in repository.iterdir())),
            "SLIPWAY_APP__MODEL_PATH": "",
            "SLIPWAY_HOOKS__REPOSITORY": URL,
            "SLIPWAY_WATCH__INTERVAL": str(interval),
            "SLIPWAY_RUNS__BEGIN_WITHIN": "30",  # a run that is overtaken before it has begun ends then
        }
        api = whole_platform(instance)
        variables = flow_environment(instance)
        known = {
            PREFECT_API_URL: variables["PREFECT_API_URL"],
            PREFECT_API_AUTH_STRING: variables.get("PREFECT_API_AUTH_STRING"),
        }
        with temporary_settings(known):
            hook = secret(configuration.load().hooks.github, "[hooks] github")
            made = Line(instance, api, repository, hook)
            made.git("init", "--quiet", "--initial-branch=main")
            made.git("add", "--all")
            made.git("commit", "--quiet", "--message", "The app")
            made.publish()
            first = made.ended(api.start("ci/commit", {}).id)
            if first.state != "COMPLETED":
                raise SystemExit(f"No image could be made: {first.message}")
            yield made


def whole_platform(instance: Instance) -> PrefectApi:
    """All of it, the cluster too: what that takes of the machine is a part of the answer."""
    settings = load_as(WrittenSettings).model_copy(update={"embedded": instance.ports})
    with Display(Console(soft_wrap=True, stderr=True)) as display, Steps(display) as steps:
        client = steps.start("Checks", platform.prepare, instance, settings).result()
        parts = BringUp(steps, client, instance, settings).everything()
    kubeconfig = parts.kubeconfig.result()
    if kubeconfig is not None:
        preparation.ensure(instance, settings, kubeconfig, parts.registry.result(), print)
    return parts.server.result()
