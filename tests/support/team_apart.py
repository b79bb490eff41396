"""A team's line with a registry of its own and a folder as model store: docker is all it needs."""

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments.local.docker import images as platform_images
from deployments.local.docker.engine import connect
from flows.config.load import CHECKOUT
from flows.credentials import environment
from flows.services.images.container_engine import ContainerEngine
from flows.services.models.transfer import no_progress
from flows.services.process.command import silent
from flows.services.registry.auth import Credentials, always
from flows.stages.context import RunContext, containers_removed, opened
from tests.flows.team import TEAM_APP, Team


@contextmanager
def base_image_in(login: Credentials) -> Iterator[str]:
    """The platform's base image by digest, in the registry."""
    engine, name = ContainerEngine(None, "a-test", always(login)), f"{login.address}/base:1"
    engine.tag(platform_images.ensure(connect(), "base", print), name)
    yield f"{login.address}/base@{engine.push(name, silent)}"
    engine.untag(name)


@contextmanager
def team_apart(folder: Path, login: Credentials, base_image: str) -> Iterator[Team]:
    """A team with one good commit and one model, whose models Slipway puts into the images.

    The settings are in force until the block ends; then no image of the team's is left on the engine.
    """
    name, repository = f"team-{uuid.uuid4().hex[:8]}", folder / "team"
    shutil.copytree(TEAM_APP, repository)
    (folder / "models").mkdir()
    file = folder / "slipway.toml"  # a folder takes no credentials
    text = (CHECKOUT / "slipway.toml").read_text()
    file.write_text(re.sub('^credentials = "slipway-blob-store".*', "", text, count=1, flags=re.MULTILINE))
    settings = {
        "SLIPWAY_CONFIG": str(file),
        "SLIPWAY_STATE": str(folder / "state"),
        "SLIPWAY_SOURCE__REPOSITORY": str(repository),
        "SLIPWAY_APP__CONTEXT": json.dumps(sorted(path.name for path in repository.iterdir())),
        "SLIPWAY_APP__MODEL_PATH": "/model",
        "SLIPWAY_APP__DOCKERFILE": "Dockerfile.halves",
        "SLIPWAY_APP__BASE_IMAGE": base_image,
        "SLIPWAY_APP__READY_TIMEOUT": "10",
        "SLIPWAY_APP__STOP_TIMEOUT": "5",
        "SLIPWAY_MODEL__NAME": name,
        "SLIPWAY_MODEL__STORE": f"file://{folder}/models",
        "SLIPWAY_REGISTRY__ADDRESS": login.address,
        "SLIPWAY_REGISTRY__REPOSITORY": f"teams/{name}",
        "SLIPWAY_REGISTRY__INSECURE": "true",
        environment.USERNAME: login.username,
        environment.PASSWORD: login.password,
    }
    with pytest.MonkeyPatch.context() as variables:
        for key, value in settings.items():
            variables.setenv(key, value)
        made = Team(repository, name, environment, folder / "published")
        made.begin()
        yield made
        for image in connect().images.list(name=made.registry.name):
            connect().images.remove(str(image.id), force=True)


@contextmanager
def a_run() -> Iterator[RunContext]:
    """A run that calls stages as plain functions, with the settings that are in force."""
    with (
        opened(f"stages-{uuid.uuid4().hex[:12]}", silent, no_progress, environment) as found,
        containers_removed(found),
    ):
        yield found
