"""The platform that service, flow and end-to-end tests run on: real, and apart from the one of `make run`.

Each part is brought up when the first test asks for it, and all are removed after the last. With
SLIPWAY_TEST_KEEP=1 they stay, for a look and for the next session, which then begins quicker.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from rich.console import Console

from deployments.local import platform as bringing_up
from deployments.local.cluster import preparation
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.progress import Display, Steps
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from deployments.prefect.api import PrefectApi
from flows.config.load import CHECKOUT, load_as
from tests.stand_ins.private_git import private_git
from tests.support.instance_apart import instance_apart
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.prefect_client import asking
from tests.support.released import Released, release_the_app

Begun = TypeVar("Begun")


class BringUpParts(Protocol):
    """The type of the fixture `bring_up`."""

    def __call__(self, begin: Callable[[BringUp], Begun]) -> Begun: ...


SOURCE_VARIABLE = "SLIPWAY_SOURCE__REPOSITORY"
LANE = os.environ.get("SLIPWAY_TEST_LANE", "")
"""Sessions of one checkout that run side by side have a name each, and so a platform each."""


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """A platform of which nothing runs yet; one session of a checkout has it at a time."""
    with instance_apart(LANE) as found:
        yield found


@pytest.fixture(scope="session")
def source(instance: Instance) -> Path:
    """A repository of the application alone, with one commit on main, for tests to commit to."""
    folder = instance.state / "source"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tests").mkdir(parents=True)
    for part in ("app", "tests/app"):
        shutil.copytree(CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "Dockerfile", folder)
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "The application"]):
        who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        subprocess.run(["git", *who, *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="session")
def settings(instance: Instance) -> WrittenSettings:
    """slipway.toml, as it is for the test platform."""
    return load_as(WrittenSettings).model_copy(update={"embedded": instance.ports})


@pytest.fixture(scope="session")
def bring_up(instance: Instance, settings: WrittenSettings) -> BringUpParts:
    """Brings up the parts that a function begins with, and returns what it returns when they are there."""

    def bring_up(begin: Callable[[BringUp], Begun]) -> Begun:
        with Display(Console(soft_wrap=True)) as display, Steps(display) as steps:
            client = steps.start("Checks", bringing_up.prepare, instance, settings).result()
            return begin(BringUp(steps, client, instance, settings))

    return bring_up


@pytest.fixture(scope="session")
def registry(bring_up: BringUpParts) -> RegistryAccess:
    """A registry that wants a password, with the base image in it."""
    access = bring_up(BringUp.registry).result()
    assert access, "slipway.toml names the platform's own registry"
    return access


@pytest.fixture(scope="session")
def blob_store(bring_up: BringUpParts) -> BlobStoreAccess:
    """Azurite, with the container that slipway.toml names."""
    return bring_up(BringUp.store).result()


@pytest.fixture(scope="session")
def cluster(bring_up: BringUpParts, registry: RegistryAccess) -> Path:
    """The kubeconfig of a Kubernetes cluster that can pull from the registry, given its password."""
    kubeconfig = bring_up(BringUp.cluster).result()
    assert kubeconfig, "slipway.toml has an environment on the embedded cluster"
    return kubeconfig


@pytest.fixture(scope="session")
def prefect_server(bring_up: BringUpParts, source: Path) -> PrefectApi:
    """Prefect's server with a worker, whose flows build from `source`."""
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv(SOURCE_VARIABLE, str(source))
        return bring_up(BringUp.server).result()


@pytest.fixture(scope="session")
def platform(
    bring_up: BringUpParts,
    instance: Instance,
    settings: WrittenSettings,
    source: Path,
    prefect_server: PrefectApi,
) -> PlatformUnderTest:
    """All of it, ready for flow runs; there is no model in the store yet."""
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv(SOURCE_VARIABLE, str(source))
        parts = bring_up(BringUp.everything)
    kubeconfig = parts.kubeconfig.result()
    assert kubeconfig, "slipway.toml has an environment on the embedded cluster"
    preparation.ensure(instance, settings, kubeconfig, parts.registry.result(), print)
    pause_automations(prefect_server)
    return PlatformUnderTest(instance, prefect_server, kubeconfig, source)


def pause_automations(api: PrefectApi) -> None:
    """What tests kill is to stay as it is."""
    with asking(api) as client:
        for automation in client.post("/automations/filter", json={}).raise_for_status().json():
            client.patch(f"/automations/{automation['id']}", json={"enabled": False}).raise_for_status()


@pytest.fixture(scope="session")
def released(platform: PlatformUnderTest) -> Released:
    """The application and the sample model, live on the platform."""
    return release_the_app(platform)


@pytest.fixture
def private_url() -> Iterator[str]:
    """A git repository that needs credentials."""
    with private_git() as url:
        yield url
