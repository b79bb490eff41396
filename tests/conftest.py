"""The platform that service, flow and end-to-end tests run on: real, and apart from the one of `make run`.

`make test` brings it up once for all test processes (tests/support/session.py). Where pytest is started by
itself, each part is brought up when the first test asks for it, and all are removed after the last.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import pytest
from rich.console import Console

from deployments.local import platform as bringing_up
from deployments.local.cluster import preparation
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import server
from deployments.local.progress import Display, Steps
from deployments.local.stores import blob_store as blob_stores
from deployments.local.stores import credentials
from deployments.local.stores import registry as registries
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from deployments.prefect.api import PrefectApi
from flows.config.load import load_as
from tests.stand_ins.private_git import private_git
from tests.support import lanes, worker
from tests.support.instance_apart import NONE, SHARED, instance_apart, shared_instance
from tests.support.own_runs import OwnRuns, own_runs
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.preparing import Begun, BringUpParts, complete, make_source, worker_variables
from tests.support.released import Released, release_the_app


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    """The platform's; nothing of it runs yet where this process has it for itself."""
    if NONE in os.environ:
        pytest.fail("This test needs the platform: mark it with `platform`.")
    shared = shared_instance()
    if shared is not None:
        yield shared
        return
    with instance_apart() as found:
        yield found


@pytest.fixture(scope="session")
def source(instance: Instance) -> Path:
    """A repository of the application alone, with one commit on main, for tests to commit to."""
    folder = instance.state / "source"
    return folder if SHARED in os.environ else make_source(folder)


@pytest.fixture(scope="session")
def settings(instance: Instance) -> Iterator[WrittenSettings]:
    """slipway.toml, as it is for the test platform; to the end, its variables are set."""
    with pytest.MonkeyPatch.context() as variables:
        for key, value in worker.teams_allowed(instance).items():
            variables.setenv(key, value)
        yield load_as(WrittenSettings).model_copy(update={"embedded": instance.ports})


@pytest.fixture(scope="session")
def bring_up(instance: Instance, settings: WrittenSettings) -> BringUpParts:
    """Brings up the parts that a function begins with, and returns what it returns when they are there."""

    def bring_up(begin: Callable[[BringUp], Begun]) -> Begun:
        with Display(Console(soft_wrap=True)) as display, Steps(display) as steps:
            client = steps.start("Checks", bringing_up.prepare, instance, settings).result()
            return begin(BringUp(steps, client, instance, settings))

    return bring_up


@pytest.fixture(scope="session")
def registry(bring_up: BringUpParts, instance: Instance) -> RegistryAccess:
    """A registry that wants a password, with the base image in it."""
    if SHARED in os.environ:
        return registries.ensure_access(instance)
    access = bring_up(BringUp.registry).result()
    assert access, "slipway.toml names the platform's own registry"
    return access


@pytest.fixture(scope="session")
def blob_store(bring_up: BringUpParts, instance: Instance) -> BlobStoreAccess:
    """Azurite, with the container that slipway.toml names."""
    if SHARED in os.environ:
        return blob_stores.ensure_access(instance)
    return bring_up(BringUp.store).result()


@pytest.fixture(scope="session")
def cluster(bring_up: BringUpParts, registry: RegistryAccess, instance: Instance) -> Path:
    """The kubeconfig of a Kubernetes cluster that can pull from the registry, given its password."""
    if SHARED in os.environ:
        return credentials.kubeconfig(instance)
    kubeconfig = bring_up(BringUp.cluster).result()
    assert kubeconfig, "slipway.toml has an environment on the embedded cluster"
    return kubeconfig


@pytest.fixture(scope="session")
def prefect_server(bring_up: BringUpParts, source: Path, instance: Instance) -> PrefectApi:
    """Prefect's server with a worker, whose flows build from `source`."""
    if SHARED in os.environ:
        return server.client(instance)
    with pytest.MonkeyPatch.context() as variables:
        for key, value in worker_variables(source).items():
            variables.setenv(key, value)
        return bring_up(BringUp.server).result()


@pytest.fixture(scope="session")
def platform(
    bring_up: BringUpParts,
    instance: Instance,
    settings: WrittenSettings,
    source: Path,
    prefect_server: PrefectApi,
) -> Iterator[PlatformUnderTest]:
    """All of it, ready for flow runs; there is no model in the store yet.

    A worker of pytest-xdist has environments of its own there.
    """
    if SHARED not in os.environ:
        complete(bring_up, instance, settings, source)
    with pytest.MonkeyPatch.context() as variables, ExitStack() as until_the_end:
        for key, value in worker.variables(instance).items():
            variables.setenv(key, value)
        kubeconfig = credentials.kubeconfig(instance)
        if worker.name():
            own = load_as(WrittenSettings).model_copy(update={"embedded": instance.ports})
            preparation.ensure(instance, own, kubeconfig, registries.ensure_access(instance), print)

        @cache
        def runs() -> OwnRuns:
            return until_the_end.enter_context(own_runs(instance, prefect_server))

        yield PlatformUnderTest(instance, prefect_server, kubeconfig, source, runs)


@pytest.fixture(scope="session")
def released(platform: PlatformUnderTest) -> Released:
    """The application and the sample model, live on the platform."""
    return release_the_app(platform)


@pytest.fixture
def private_url() -> Iterator[str]:
    """A git repository that needs credentials."""
    with private_git() as url:
        yield url


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as shells start what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = (
    "tests/flows/releases/test_promotion.py",
    "tests/flows/releases/test_release_failures.py",
    "tests/flows/test_ci.py",
    "tests/triggers/test_poller.py",
    "tests/flows/cut_off/test_killed.py",
    "tests/flows/releases/test_behind_a_cloud.py",
    "tests/flows/releases/test_manifests.py",
    "tests/stages/test_faults.py",
    "tests/flows/releases/test_release.py",
    "tests/flows/test_rerun.py",
    "tests/flows/cut_off/test_cancelled.py",
    "tests/flows/cut_off/test_overlapping.py",
    "tests/services/kubernetes/test_rollout_watch.py",
    "tests/services/kubernetes/test_lease.py",
    "tests/flows/releases/test_unnoticed.py",
    "tests/flows/test_ci_failures.py",
    "tests/flows/test_cancel.py",
)
"""Files that take minutes. They begin first, so that none of them is left for one worker at the end."""

PLATFORM = {"instance", "engine", "base_image", "cluster", "blobs", "versioned"}
"""A test that uses one of these fixtures, or a fixture that uses one, needs docker or a server; so does each
that is marked `apart`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the platform, and what looks at the released app; put the longest files first."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if PLATFORM & used or _has(item, "apart"):
            item.add_marker("platform")
        if "released" in used:
            item.add_marker("released")
    strayed = [item.nodeid for item in items if not lanes.runs(item.nodeid, partial(_has, item))]
    if strayed:
        raise pytest.UsageError(f"make test runs these nowhere: see tests/support/lanes.py: {strayed}")
    order = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(LONGEST)))


def _has(item: pytest.Item, mark: str) -> bool:
    return item.get_closest_marker(mark) is not None


REASON = 400
"""Characters of why a test failed, at the end of `make test`."""

took: dict[str, float] = {}
failed: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how long each test took, its fixtures included, and why it failed."""
    took[report.nodeid] = took.get(report.nodeid, 0) + report.duration
    if report.failed:
        failed.setdefault(report.nodeid, reason(report))
    file = os.environ.get("TEST_DURATIONS")
    if report.when == "teardown" and file and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(file).open("a") as stream:
            row = (f"{took.pop(report.nodeid):.2f}", report.nodeid, failed.pop(report.nodeid, ""))
            stream.write("\t".join(row) + "\n")


def reason(report: pytest.TestReport) -> str:
    """What a failed test raised, in one line; `failed` where pytest has no more."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return " ".join(crash.message.split())[:REASON] if crash else "failed"
