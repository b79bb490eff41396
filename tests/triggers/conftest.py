"""Triggers with a real Prefect server, store and registry; what they start waits, as no worker takes it."""

import hashlib
import hmac
import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prefect.blocks.system import Secret
from prefect_azure import AzureBlobStorageCredentials
from prefect_docker import DockerRegistryCredentials

from deployments.local.instance import Instance
from deployments.local.prefect.server import flow_environment
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from deployments.prefect.api import PrefectApi
from flows.config import load as configuration
from flows.core.build.capsule import ATTACHED
from flows.core.build.content import BuildContent
from flows.core.build.latest import LatestPointer
from flows.core.model.model import Model
from flows.core.trigger.run_labels import branch_tag, commit_tag
from flows.credentials.prefect_blocks import blob_store as blob_store_of
from flows.credentials.prefect_blocks import registry_login
from flows.services.models.model_check import describe
from flows.services.models.model_store import ModelStore
from flows.services.prefect.api import FlowRuns
from flows.services.prefect.client import FlowRun
from flows.services.registry.client import Registry
from flows.triggers.poller import Watch
from flows.triggers.webhooks import application
from tests.support.prefect_client import asking, talking_to

DELIVERIES = Path(__file__).parent.parent / "deliveries"
MODELS = Path(__file__).parent.parent / "app" / "models"
URL = "https://github.com/Codertocat/Hello-World.git"
SECRET, LOGIN = "s3cret", "slipway:pa:ss"
NOWHERE = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/a;"
"""A connection string that leads to no server."""


@dataclass(frozen=True)
class Team:
    """A repository, model, base image and deployment of their own, and the runs that were started of it."""

    api: PrefectApi
    repository: Path
    model: str
    deployment: str
    environment: Mapping[str, str]
    said: list[str] = field(default_factory=list)

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
        done = subprocess.run(command, cwd=self.repository, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, branch: str = "main") -> str:
        """An empty commit on the branch; its SHA."""
        if self.git("branch", "--show-current") != branch:
            self.git("switch", "--quiet", "--force-create", branch)
        self.git("commit", "--quiet", "--allow-empty", "--message", f"A change {uuid.uuid4().hex[:4]}")
        return self.git("rev-parse", "HEAD")

    @property
    def models(self) -> ModelStore:
        return ModelStore(blob_store_of(configuration.load().model), configuration.state_folder() / "models")

    def publish(self, version: str, name: str = "digits") -> Model:
        file = MODELS / name / "model.onnx"
        described = describe(file, file.with_name("manifest.json"), name=self.model, version=version)
        return self.models.publish(file, described).model

    def registry(self, repository: str) -> Registry:
        """A repository in the registry."""
        settings = configuration.load()
        wanted = settings.registry
        login = registry_login(wanted, settings.azure)
        return Registry(wanted.address, repository, login, wanted.insecure)

    @property
    def base(self) -> Registry:
        """The repository of the base image."""
        return self.registry(f"teams/{self.model}-base")

    def publish_base(self) -> str:
        """Let the base image's tag name another image; its digest."""
        self.base.attach("base", uuid.uuid4().bytes)
        return self.base.digest(f"base{ATTACHED}")

    def is_built(self, sha: str, model: Model, run: str = "a run", base: str | None = None) -> None:
        """Let `latest` name an image of that commit and model, on that base image or today's."""
        registry = self.registry(configuration.load().registry.repository)
        if base is None:
            base = self.base.digest(f"base{ATTACHED}")
        registry.attach("built", b"{}")
        digest = registry.manifest(f"built{ATTACHED}").digest
        registry.move(
            LatestPointer(
                digest=digest,
                content=BuildContent(
                    sha, model.named, datetime(2026, 11, 24, 10, tzinfo=UTC), "c" * 64, base_digest=base
                ),
                subject="A change",
                branch="main",
                run=run,
            )
        )

    def runs(self, sha: str, branch: str = "main") -> list[FlowRun]:
        """Those for the commit, oldest first."""
        with FlowRuns() as runs:
            return runs.with_tags(branch_tag(branch), commit_tag(sha))

    def only_run(self, sha: str, branch: str = "main") -> FlowRun:
        (found,) = self.runs(sha, branch)
        return found

    def set_state(self, run: FlowRun, state: str) -> None:
        self.api.set_state(self.api.flow_run(run.id), state, "a test says so")

    def begins(self, run: FlowRun, stage: str) -> None:
        """Let the run have begun that stage."""
        task = {
            "flow_run_id": run.id,
            "task_key": stage,
            "dynamic_key": "0",
            "name": f"{stage}-{uuid.uuid4().hex[:3]}",
            "state": {"type": "RUNNING"},
        }
        with asking(self.api) as client:
            client.post("/task_runs/", json=task).raise_for_status()

    def has_a_work_pool(self) -> None:
        """Give the deployment one, of which there is no worker."""
        with asking(self.api) as client:
            pool = {"name": self.model, "type": "process"}
            client.post("/work_pools/", json=pool).raise_for_status()
            found = client.get(f"/deployments/name/{self.deployment}").raise_for_status().json()
            changed = client.patch(f"/deployments/{found['id']}", json={"work_pool_name": self.model})
            changed.raise_for_status()

    def watch(self) -> Watch:
        """A watch that has not looked yet; what it says is kept in `said`."""
        return Watch(self.said.append)


@dataclass(frozen=True)
class Sender:
    """A provider that delivers to a receiver in this process."""

    client: FlaskClient

    def github(
        self, sha: str, branch: str = "main", *, event: str = "push", secret: str = SECRET, **changed: Any
    ) -> Any:
        """What the receiver answers to a push."""
        body = github_push(sha, branch, **changed)
        return self.client.post("/hooks/github", data=body, headers=signed(body, event, secret))

    def azure_devops(self, sha: str, branch: str = "main", login: str = LOGIN) -> Any:
        """The same of Azure DevOps."""
        payload = json.loads((DELIVERIES / "azure-devops-git-push.json").read_text())
        payload["resource"]["repository"]["remoteUrl"] = URL
        payload["resource"]["refUpdates"][0] |= {"name": f"refs/heads/{branch}", "newObjectId": sha}
        user, _, password = login.partition(":")
        return self.client.post("/hooks/azure-devops", json=payload, auth=(user, password))


def github_push(sha: str, branch: str = "main", **changed: Any) -> bytes:
    """GitHub's own example, for another commit."""
    payload = json.loads((DELIVERIES / "github-push.json").read_text())
    return json.dumps(payload | {"ref": f"refs/heads/{branch}", "after": sha} | changed).encode()


def signed(body: bytes, event: str = "push", secret: str = SECRET) -> dict[str, str]:
    """GitHub's headers."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": f"sha256={signature}",
    }


@pytest.fixture
def team(
    instance: Instance,
    prefect_server: PrefectApi,
    blob_store: BlobStoreAccess,
    registry: RegistryAccess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Team]:
    """One with a commit on main and model 1.0.0, of which nothing is built yet."""
    name = f"team-{uuid.uuid4().hex[:8]}"
    repository = tmp_path / "team"
    repository.mkdir()
    environment = {
        "SLIPWAY_STATE": str(tmp_path / "state"),
        "SLIPWAY_SOURCE__REPOSITORY": str(repository),
        "SLIPWAY_SOURCE__BRANCHES": json.dumps(["feature/*"]),
        "SLIPWAY_APP__BASE_IMAGE": f"{registry.address}/teams/{name}-base:base{ATTACHED}",
        "SLIPWAY_MODEL__NAME": name,
        "SLIPWAY_MODEL__CREDENTIALS": name,
        "SLIPWAY_REGISTRY__ADDRESS": registry.address,
        "SLIPWAY_REGISTRY__REPOSITORY": f"teams/{name}",
        "SLIPWAY_REGISTRY__CREDENTIALS": name,
        "SLIPWAY_REGISTRY__INSECURE": "true",
        "SLIPWAY_HOOKS__REPOSITORY": URL,
        "SLIPWAY_HOOKS__GITHUB": f"{name}-github",
        "SLIPWAY_HOOKS__AZURE_DEVOPS": f"{name}-azure",
        "SLIPWAY_WATCH__DEPLOYMENT": f"ci/{name}",
        "SLIPWAY_WATCH__INTERVAL": "1",
    }
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    deploy_without_a_worker(prefect_server, name)
    with talking_to(prefect_server):
        AzureBlobStorageCredentials(connection_string=blob_store.connection_string).save(name, overwrite=True)
        DockerRegistryCredentials(
            registry_url=registry.address, username=registry.username, password=registry.password
        ).save(name, overwrite=True)
        Secret(value=SECRET).save(f"{name}-github", overwrite=True)
        Secret(value=LOGIN).save(f"{name}-azure", overwrite=True)
        team = Team(prefect_server, repository, name, f"ci/{name}", flow_environment(instance) | environment)
        team.git("init", "--quiet", "--initial-branch=main")
        team.commit()
        team.publish("1.0.0")
        team.publish_base()
        yield team


@pytest.fixture
def sender(team: Team) -> Sender:
    """Delivers to a receiver that has just started."""
    return Sender(application().test_client())


def deploy_without_a_worker(api: PrefectApi, name: str) -> None:
    """A deployment of ci whose runs no worker takes up."""
    with asking(api) as client:
        flow = client.post("/flows/", json={"name": "ci"}).raise_for_status().json()
        deployment = {"name": name, "flow_id": flow["id"], "enforce_parameter_schema": False, "tags": ["ci"]}
        client.post("/deployments/", json=deployment).raise_for_status()
