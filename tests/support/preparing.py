"""Bringing the whole test platform up, by a test process or by `make test` for all of them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from deployments.local.cluster import preparation
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.prefect.api import PrefectApi
from flows.config.load import CHECKOUT
from tests.support.commits import commit_all
from tests.support.prefect_client import asking

Begun = TypeVar("Begun")


SOAK = 5
"""Seconds, of releases by the platform's own worker: half a minute shows no more where no requests come."""


class BringUpParts(Protocol):
    """Brings up the parts that a function begins with, and returns what it returns when they are there."""

    def __call__(self, begin: Callable[[BringUp], Begun]) -> Begun: ...


def make_source(folder: Path) -> Path:
    """A repository of the application and its manifests, with one commit on main."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tests").mkdir(parents=True)
    for part in ("app", "serving", "tests/app", "deployments/kubernetes"):
        shutil.copytree(CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "Dockerfile", folder)
    commit_all(folder, "The application")
    return folder


def worker_variables(source: Path) -> dict[str, str]:
    """What changes slipway.toml for the platform's own worker, if set while that is started."""
    soaks = {f"SLIPWAY_ENVIRONMENTS__{name}__SOAK": str(SOAK) for name in ("STAGING", "PRODUCTION")}
    return {"SLIPWAY_SOURCE__REPOSITORY": str(source), **soaks}


def complete(bring_up: BringUpParts, instance: Instance, settings: WrittenSettings, source: Path) -> None:
    """Everything up, and the environments of slipway.toml prepared; no automation acts."""
    with pytest.MonkeyPatch.context() as variables:
        for key, value in worker_variables(source).items():
            variables.setenv(key, value)
        parts = bring_up(BringUp.everything)
    kubeconfig = parts.kubeconfig.result()
    assert kubeconfig, "slipway.toml has an environment on the embedded cluster"
    preparation.ensure(instance, settings, kubeconfig, parts.registry.result(), print)
    pause_automations(parts.server.result())


def pause_automations(api: PrefectApi) -> None:
    """Keep what tests kill as it is."""
    with asking(api) as client:
        for automation in client.post("/automations/filter", json={}).raise_for_status().json():
            client.patch(f"/automations/{automation['id']}", json={"enabled": False}).raise_for_status()
