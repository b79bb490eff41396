"""What went all the way: the application's commit and the sample model, as ops would release them.

`python -m tests.support.released` does so on the platform that `make test` has brought up, while other tests
run: its two soaks take a minute.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.local.demo import sample_model
from deployments.local.prefect import server
from deployments.local.stores import credentials
from flows.core.model.manifest import ModelManifest, parse
from flows.services.prefect.client import FlowRun
from tests.flows.environments import Place
from tests.support.instance_apart import shared_instance
from tests.support.own_runs import OwnRuns
from tests.support.platform_under_test import PlatformUnderTest

FILE = "released.json"
"""In the state folder: what `main` has released."""


@dataclass(frozen=True)
class Released:
    """A platform on which the application is live in both environments, and the runs that did that."""

    platform: PlatformUnderTest
    commit: str
    model: Path
    publication: FlowRun
    build: FlowRun
    release: FlowRun

    def save(self) -> None:
        """Let other processes find it."""
        runs = {"publication": self.publication.id, "build": self.build.id, "release": self.release.id}
        content = {"commit": self.commit, "model": str(self.model), "runs": runs}
        (self.platform.instance.state / FILE).write_text(json.dumps(content))

    @property
    def manifest(self) -> ModelManifest:
        """The model's."""
        return parse((self.model / "manifest.json").read_bytes(), source="the sample model")


def release_the_app(platform: PlatformUnderTest) -> Released:
    """Through the server and the worker; whatever was live before is gone."""
    head = subprocess.run(
        ["git", "rev-parse", "main"], cwd=platform.source, check=True, capture_output=True, text=True
    ).stdout.strip()
    folder = sample_model.make("1.0.0", platform.instance.state / "models", print)
    published = platform.run("publish-model/on-demand", file=str(folder), name="classifier", version="1.0.0")
    assert published.state == "COMPLETED", published.message
    built = platform.run("ci/commit")
    assert built.state == "COMPLETED", built.message
    assert built.message.startswith(f"{head[:7]} + classifier 1.0.0: built, tested and pushed; latest moved")
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("SLIPWAY_STATE", str(platform.instance.state))
        for place in (Place("staging"), Place("production")):
            place.empty()
    live = platform.run("release/on-demand", environment="every", image="latest")
    assert live.state == "COMPLETED", live.message
    return Released(platform, head, folder, published, built, live)


def saved(platform: PlatformUnderTest) -> Released | None:
    """What `main` released there; None where it did not, or failed."""
    file = platform.instance.state / FILE
    if not file.exists():
        return None
    content = json.loads(file.read_text())
    runs = {name: platform.api.flow_run(run) for name, run in content["runs"].items()}
    return Released(platform, content["commit"], Path(content["model"]), **runs)


def main() -> None:
    """Release the app on the shared platform, to the environments of slipway.toml as they are."""
    instance = shared_instance()
    assert instance
    kubeconfig, source = credentials.kubeconfig(instance), instance.state / "source"
    with server.client(instance) as api:
        release_the_app(PlatformUnderTest(instance, api, kubeconfig, source, _no_runs)).save()


def _no_runs() -> OwnRuns:
    raise AssertionError("These runs are the platform's own.")


if __name__ == "__main__":
    main()
