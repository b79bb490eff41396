"""Flows run in this process, on the shared platform; each test has a repository and a model of its own."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State

from deployments.local.docker.engine import connect
from deployments.local.prefect.api import FlowRun
from deployments.local.wait import wait_until
from flows.ci import ci
from flows.config import load as configuration
from flows.core.build.capsule import ATTACHED
from flows.core.build.latest import LatestPointer
from flows.core.model.model import Model
from flows.credentials.prefect_blocks import blob_store, registry_credentials
from flows.release import release
from flows.services.images.container_engine import RUN_LABEL
from flows.services.models.model_check import describe
from flows.services.models.model_store import ModelStore
from flows.services.registry.client import Registry
from tests.flows.environments import manifests_with
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.prefect_client import asking, talking_to

TEAM_APP = Path(__file__).parent / "team_app"
MODELS = Path(__file__).parent.parent / "app" / "models"


@dataclass(frozen=True)
class Line:
    """One team's line: their repository, their model, and what comes out at the other end."""

    platform: PlatformUnderTest
    repository: Path
    model: str
    environment: dict[str, str]

    def git(self, *arguments: str) -> str:
        """What git says in the team's repository."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, subject: str = "A change", **behaviour: str) -> str:
        """Commit an app that behaves so; its SHA."""
        content = {"app": "good", "where": "", "tests": "pass", "nonce": uuid.uuid4().hex, **behaviour}
        (self.repository / "behaviour.json").write_text(json.dumps(content))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        return self.git("rev-parse", "HEAD")

    def publish(self, version: str, name: str = "digits") -> Model:
        """Publish a model that is small enough for a test."""
        file = MODELS / name / "model.onnx"
        described = describe(file, file.with_name("manifest.json"), name=self.model, version=version)
        return self.models.publish(file, described).model

    @property
    def models(self) -> ModelStore:
        """The store that the team publishes to."""
        wanted = configuration.load().model
        return ModelStore(blob_store(wanted), self.platform.instance.state / "test-models")

    @property
    def registry(self) -> Registry:
        """Where the team's images go."""
        wanted = configuration.load().registry
        return Registry(wanted.address, wanted.repository, registry_credentials(wanted), wanted.insecure)

    def tags(self) -> list[str]:
        """Every tag in the team's repository."""
        registry = self.registry
        credentials = registry.credentials
        assert credentials is not None
        answer = httpx.get(
            f"http://{registry.address}/v2/{registry.repository}/tags/list",
            auth=(credentials.username, credentials.password),
            trust_env=False,
        )
        return list(answer.json().get("tags") or [])

    def image_tags(self) -> list[str]:
        """Those of images; a model's manifest is kept before the image that it belongs to is pushed."""
        return [tag for tag in self.tags() if not tag.endswith(ATTACHED)]

    @property
    def latest(self) -> LatestPointer | None:
        """What `latest` says now."""
        return self.registry.pointer()

    def ledger(self, environment: str) -> str:
        """What the newest version of an environment's ledger says."""
        query = {"artifacts": {"key": {"any_": [f"live-{environment}"]}}}
        with asking(self.platform.api) as client:
            (newest,) = client.post("/artifacts/latest/filter", json=query).raise_for_status().json()
        return str(newest["data"])

    def ci(self, ref: str = "HEAD", model: str = "wanted", **parameters: Any) -> "Ended":
        """One run of ci."""
        return Ended(self.platform, ci(ref=ref, model=model, return_state=True, **parameters))

    def built(self) -> LatestPointer:
        """What `latest` names once another good commit is built."""
        self.commit()
        run = self.ci()
        assert run.succeeded, run.message
        assert self.latest
        return self.latest

    def release(self, image: str = "latest", environment: str = "staging", **parameters: Any) -> "Ended":
        """One run of release, to staging, which promotes from nowhere."""
        state = release(environment=environment, image=image, return_state=True, **parameters)
        return Ended(self.platform, state)

    def start(self, deployment: str, **parameters: Any) -> FlowRun:
        """A run through the worker, with this line's settings and what the test has changed of them."""
        variables = {key: value for key, value in os.environ.items() if key.startswith("SLIPWAY_")}
        return self.platform.api.start(deployment, parameters, variables)

    def start_release(
        self, image: str = "latest", environment: str = "staging", **parameters: Any
    ) -> FlowRun:
        """A forced release through the worker."""
        asked = {"environment": environment, "image": image, "force": True, "reason": "a test"}
        return self.start("release/on-demand", **{**asked, **parameters})


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    platform: PlatformUnderTest
    state: State[Any]

    @property
    def id(self) -> str:
        """Of the flow run."""
        return str(self.state.state_details.flow_run_id)

    @property
    def message(self) -> str:
        """What the runs list shows."""
        return self.state.message or ""

    @property
    def name(self) -> str:
        """The run's own, there."""
        return self.platform.api.flow_run(self.id).name

    @property
    def tags(self) -> set[str]:
        """What it is found by there."""
        with asking(self.platform.api) as client:
            return set(client.get(f"/flow_runs/{self.id}").raise_for_status().json()["tags"])

    @property
    def succeeded(self) -> bool:
        """Whether it completed."""
        return self.state.is_completed()

    def tasks(self) -> dict[str, tuple[str, int]]:
        """Each stage's state and how often it was tried."""
        found = self._of_this_run("task_runs", "flow_runs", "id")
        return {run["name"].rsplit("-", 1)[0]: (run["state_type"], run["run_count"]) for run in found}

    def seconds(self, stage: str) -> float:
        """How long a stage took."""
        found = self._of_this_run("task_runs", "flow_runs", "id")
        return float(next(run["total_run_time"] for run in found if run["name"].startswith(f"{stage}-")))

    def artifacts(self) -> str:
        """All that the run's page shows beside its log."""
        found = self._of_this_run("artifacts", "artifacts", "flow_run_id")
        return "\n".join(str(artifact["data"]) for artifact in found)

    def transfers(self) -> dict[str, float]:
        """The percentage that each progress artifact of its page shows."""
        found = self._of_this_run("artifacts", "artifacts", "flow_run_id")
        return {one["description"]: float(one["data"]) for one in found if one["type"] == "progress"}

    def log(self) -> str:
        """All that it logged; lines are sent in batches, the flow's own last word at the end."""
        found: list[dict[str, Any]] = []

        def is_complete() -> bool:
            found[:] = self._of_this_run("logs", "logs", "flow_run_id")
            last = (line for line in found if line["task_run_id"] is None)
            return any(line["message"].startswith("Finished in state") for line in last)

        wait_until(is_complete, 20, "The run's log has no end")
        return "\n".join(line["message"] for line in found)

    def _of_this_run(self, what: str, table: str, key: str) -> list[dict[str, Any]]:
        with asking(self.platform.api) as client:
            answer = client.post(f"/{what}/filter", json={table: {key: {"any_": [self.id]}}})
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    def left_behind(self) -> list[str]:
        """Containers that it started and that are still there."""
        found = connect().containers.list(all=True, filters={"label": f"{RUN_LABEL}={self.id}"})
        return [container.name or "" for container in found]


@pytest.fixture(scope="session")
def prefect_of_the_platform(platform: PlatformUnderTest) -> Iterator[None]:
    """Flows in this process talk to the platform's server."""
    with talking_to(platform.api):
        yield


@pytest.fixture
def line(
    platform: PlatformUnderTest,
    prefect_of_the_platform: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Line:
    """A team's line with one good commit and one model, and nothing built yet."""
    return new_line(platform, tmp_path / "team", monkeypatch)


def new_line(platform: PlatformUnderTest, repository: Path, variables: pytest.MonkeyPatch) -> Line:
    """The same, in that folder, while those variables are set."""
    name = f"team-{uuid.uuid4().hex[:8]}"
    shutil.copytree(TEAM_APP, repository)
    environment = {
        "SLIPWAY_STATE": str(platform.instance.state),
        "SLIPWAY_SOURCE__REPOSITORY": str(repository),
        "SLIPWAY_APP__CONTEXT": json.dumps(sorted(path.name for path in repository.iterdir())),
        "SLIPWAY_APP__READY_TIMEOUT": "5",
        "SLIPWAY_APP__STOP_TIMEOUT": "3",
        "SLIPWAY_APP__MANIFESTS": str(manifests_with(repository.parent / "quick")),
        "SLIPWAY_ENVIRONMENTS__STAGING__SOAK": "2",
        "SLIPWAY_ENVIRONMENTS__PRODUCTION__SOAK": "2",
        "SLIPWAY_MODEL__NAME": name,
        "SLIPWAY_REGISTRY__REPOSITORY": f"teams/{name}",
    }
    for key, value in environment.items():
        variables.setenv(key, value)
    line = Line(platform, repository, name, environment)
    line.git("init", "--quiet", "--initial-branch=main")
    line.git("config", "user.name", "Ada")
    line.git("config", "user.email", "ada@example.org")
    line.commit("The app")
    line.publish("1.0.0")
    return line
