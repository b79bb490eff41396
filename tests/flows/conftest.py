"""Flows run in this process, on the shared platform; each test has a repository and a model of its own."""

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from filelock import FileLock
from prefect import task
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings

from deployments.local.docker.engine import connect
from flows.ci import ci
from flows.config import load as configuration
from flows.core.build.commit import Commit
from flows.core.build.latest import LatestPointer
from flows.credentials import prefect_blocks
from flows.release import release
from flows.services.images.container_engine import RUN_LABEL
from flows.services.prefect.client import FlowRun
from flows.services.registry.client import Registry
from tests.flows.environments import manifests_with
from tests.flows.minting import BaseImage, mint
from tests.flows.team import TEAM_APP, Team
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.prefect_client import asking, talking_to
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Line(Team):
    """One team's line on the platform: what they commit and publish, and what comes out at the other end."""

    platform: PlatformUnderTest
    environment: dict[str, str]

    def history_page(self, environment: str) -> str:
        """What the newest version of an environment's history page says that names this team's model.

        Other teams' environments have the same name, in namespaces of their own.
        """
        query = {"artifacts": {"key": {"any_": [f"live-{environment}"]}}, "sort": "CREATED_DESC"}
        with asking(self.platform.api) as client:
            found = client.post("/artifacts/filter", json=query).raise_for_status().json()
        return next(str(one["data"]) for one in found if self.model in str(one["data"]))

    def ci(self, ref: str = "HEAD", model: str = "wanted", **parameters: Any) -> "Ended":
        """One run of ci."""
        return Ended(self.platform, ci(ref=ref, model=model, return_state=True, **parameters))

    def mint(self, **variables: str) -> LatestPointer:
        """What `latest` names once there is another good image, of another commit, with those variables.

        Nothing is built: see `minting`.
        """
        sha = self.commit()
        time, subject = self.git("show", "--no-patch", "--format=%cI%n%s", sha).splitlines()
        commit = Commit(str(self.repository), sha, "main", "Ada", datetime.fromisoformat(time), subject)
        base = base_image(self.platform)
        return mint(base, self.registry, commit, self.models.wanted(self.model), variables)

    def release(self, image: str = "latest", environment: str = "staging", **parameters: Any) -> "Ended":
        """One run of release, to staging, which promotes from nowhere."""
        state = release(environment=environment, image=image, return_state=True, **parameters)
        return Ended(self.platform, state)

    def start(self, deployment: str, **parameters: Any) -> FlowRun:
        """A run through the worker, with this line's settings and what the test has changed of them."""
        return self.platform.own().start(deployment, **parameters)

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
    def error(self) -> object:
        """What the run failed by."""
        return self.state.result(raise_on_failure=False)

    @property
    def succeeded(self) -> bool:
        """Whether it completed."""
        return self.state.is_completed()

    def tasks(self) -> dict[str, tuple[str, int]]:
        """Each stage's state and how often it was tried."""
        await_task_runs(self.platform)
        found = self._of_this_run("task_runs", "flow_runs", "id")
        return {run["name"].rsplit("-", 1)[0]: (run["state_type"], run["run_count"]) for run in found}

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

        wait_until(is_complete, "The run's log has no end")
        return "\n".join(line["message"] for line in found)

    def _of_this_run(self, what: str, table: str, key: str) -> list[dict[str, Any]]:
        with asking(self.platform.api) as client:
            answer = client.post(f"/{what}/filter", json={table: {key: {"any_": [self.id]}}})
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    def left_behind(self) -> list[str]:
        """Containers that it started and that are still there."""
        found = connect().containers.list(
            all=True, filters={"label": f"{RUN_LABEL}={self.id}"}, ignore_removed=True
        )
        return [container.name or "" for container in found]


@task
def last_task() -> None:
    """Does nothing."""


def await_task_runs(platform: PlatformUnderTest) -> None:
    """Wait until the server has recorded what tasks in this process reported: it does so later, in order."""
    with temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}):
        run = last_task(return_state=True).state_details.task_run_id

    def is_recorded() -> bool:
        answer = client.get(f"/task_runs/{run}")
        return answer.is_success and answer.json()["state_type"] == "COMPLETED"

    with asking(platform.api) as client:
        wait_until(is_recorded, "The server records no task runs")


@cache
def base_image(platform: PlatformUnderTest) -> BaseImage:
    """The one image that a run of ci really builds, for all that are minted on this platform.

    The first process that asks builds it; the others find its name in a file.
    """
    file = platform.instance.state / "base-image.json"
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            file.write_text(json.dumps(_built(platform)))
    found = json.loads(file.read_text())
    settings = configuration.load()
    wanted = settings.registry
    login = prefect_blocks.registry_login(wanted, settings.azure)
    registry = Registry(wanted.address, found["repository"], login, wanted.insecure)
    return BaseImage(registry, found["capsule"])


def _built(platform: PlatformUnderTest) -> dict[str, str]:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as variables:
        line = new_line(platform, Path(folder) / "team", variables)
        run = line.ci()
        assert run.succeeded, run.message
        assert line.latest
        return {"repository": line.registry.repository, "capsule": line.latest.content.capsule}


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


@pytest.fixture
def line_of_halves(line: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    """The same, into whose images Slipway puts the model."""
    changes = {"SLIPWAY_APP__MODEL_PATH": "/model", "SLIPWAY_APP__DOCKERFILE": "Dockerfile.halves"}
    for key, value in changes.items():
        monkeypatch.setenv(key, value)
    return replace(line, environment=line.environment | changes)


def new_line(platform: PlatformUnderTest, repository: Path, variables: pytest.MonkeyPatch) -> Line:
    """The same, in that folder, while those variables are set."""
    name = f"team-{uuid.uuid4().hex[:8]}"
    shutil.copytree(TEAM_APP, repository)
    environment = {
        "SLIPWAY_STATE": str(platform.instance.state),
        "SLIPWAY_SOURCE__REPOSITORY": str(repository),
        "SLIPWAY_APP__CONTEXT": json.dumps(sorted(path.name for path in repository.iterdir())),
        "SLIPWAY_APP__MODEL_PATH": "",
        "SLIPWAY_APP__READY_TIMEOUT": "5",
        "SLIPWAY_APP__STOP_TIMEOUT": "3",
        "SLIPWAY_MANIFESTS__PATH": ".",
        "SLIPWAY_MANIFESTS__REPOSITORY": str(manifests_with(repository.parent / "quick")),
        "SLIPWAY_ENVIRONMENTS__STAGING__SOAK": "2",
        "SLIPWAY_ENVIRONMENTS__PRODUCTION__SOAK": "2",
        "SLIPWAY_MODEL__NAME": name,
        "SLIPWAY_REGISTRY__REPOSITORY": f"teams/{name}",
    }
    for key, value in environment.items():
        variables.setenv(key, value)
    cache = platform.instance.state / "test-models"
    line = Line(repository, name, prefect_blocks, cache, platform, environment)
    line.begin()
    return line
