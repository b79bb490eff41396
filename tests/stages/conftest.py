"""Stages as plain functions, without any flow run."""

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.commands import variables
from deployments.local.instance import Instance
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from flows.credentials import environment
from tests.flows.conftest import prefect_of_the_platform
from tests.flows.team import TEAM_APP, Team
from tests.stand_ins.hostile_registry import HostileRegistry, hostile_registry

__all__ = ["prefect_of_the_platform"]


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileRegistry]:
    """A registry that answers as a test says; the settings name it."""
    with hostile_registry() as found:
        monkeypatch.setenv("SLIPWAY_REGISTRY__ADDRESS", found.address)
        monkeypatch.setenv("SLIPWAY_REGISTRY__REPOSITORY", "team/app")
        monkeypatch.setenv("SLIPWAY_REGISTRY__INSECURE", "true")
        yield found


@pytest.fixture
def team(
    instance: Instance,
    registry: RegistryAccess,
    blob_store: BlobStoreAccess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Team:
    """A team with one good commit and one model; registry and store are there, and no server."""
    name = f"team-{uuid.uuid4().hex[:8]}"
    repository = tmp_path / "team"
    shutil.copytree(TEAM_APP, repository)
    settings = {
        **variables.of(instance),
        "SLIPWAY_STATE": str(instance.state),
        "SLIPWAY_SOURCE__REPOSITORY": str(repository),
        "SLIPWAY_APP__CONTEXT": json.dumps(sorted(path.name for path in repository.iterdir())),
        "SLIPWAY_APP__MODEL_PATH": "",
        "SLIPWAY_APP__READY_TIMEOUT": "5",
        "SLIPWAY_APP__STOP_TIMEOUT": "3",
        "SLIPWAY_MODEL__NAME": name,
        "SLIPWAY_REGISTRY__REPOSITORY": f"teams/{name}",
    }
    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    made = Team(repository, name, environment, instance.state / "test-models")
    made.begin()
    return made
