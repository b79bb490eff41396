"""What went all the way: the application's commit and the sample model, as ops would release them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.local.demo import sample_model
from flows.core.model.manifest import ModelManifest, parse
from flows.services.prefect.client import FlowRun
from tests.flows.environments import Place
from tests.support.platform_under_test import PlatformUnderTest


@dataclass(frozen=True)
class Released:
    """A platform on which the application is live in both environments, and the runs that did that."""

    platform: PlatformUnderTest
    commit: str
    model: Path
    publication: FlowRun
    build: FlowRun
    release: FlowRun

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
