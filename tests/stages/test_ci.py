"""What goes wrong on the way to an image: the stage says so, and leaves everything as it was.

What a flow makes of it is asserted in tests/flows/test_ci_failures.py.
"""

import base64
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from deployments.local.docker.engine import connect
from deployments.local.instance import Instance
from flows.config import load as configuration
from flows.core.build.image import Image
from flows.core.build.test_results import TestsFailed
from flows.core.errors import (
    CommitNotThere,
    CredentialsRefused,
    DigestMismatch,
    ModelNotFound,
    PermanentError,
    RefNotFound,
    SlipwayError,
    TransientError,
    TrialFailed,
)
from flows.credentials import environment
from flows.services.images.container_engine import RUN_LABEL
from flows.services.models.transfer import no_progress
from flows.stages import ci
from flows.stages.ci import WANTED
from flows.stages.context import RunContext, containers_removed, opened
from tests.flows.team import Team

Wrong = Callable[[int], dict[str, str]]
SECRET = base64.b64encode(b"not-the-password").decode()


@dataclass
class Run:
    """A run that goes through the stages up to the push: how far it came, and what it said."""

    id: str = field(default_factory=lambda: f"stages-{uuid.uuid4().hex[:12]}")
    said: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    error: SlipwayError | None = None

    def go(self, ref: str = "HEAD", branch: str = "") -> Image:
        """The pushed image; or the error of the stage that failed, after which no container is left."""
        with (
            opened(self.id, self.said.append, no_progress, environment) as run,
            containers_removed(run),
        ):
            return self._through(run, ref, branch)

    def _through(self, run: RunContext, ref: str, branch: str) -> Image:
        commit = ci.resolve_commit(run, ref, branch)
        self.done.append("resolve commit")
        inputs = ci.seal_capsule(run, commit, ci.resolve_model(run, WANTED))
        ci.run_tests(run, inputs)
        self.done.append("run tests")
        model = ci.fetch_model(run, inputs).folder
        self.done.append("fetch model")
        built = ci.build_image(run, inputs, model)
        self.done.append("build image")
        ci.smoke_test(run, inputs, built, model)
        self.done.append("smoke test")
        return ci.push_image(run, inputs, built, model)

    def left_behind(self) -> list[str]:
        """Containers that it started and that are still there."""
        found = connect().containers.list(
            all=True, filters={"label": f"{RUN_LABEL}={self.id}"}, ignore_removed=True
        )
        return [container.name or "" for container in found]


@contextmanager
def failing(team: Team, error: type[SlipwayError], message: str, *done: str) -> Iterator[Run]:
    """A run that fails by this error, after these stages; nothing came of it."""
    run = Run()
    with pytest.raises(error) as failed:
        yield run
    assert message in failed.value.happened + failed.value.details
    assert run.done == list(done)
    assert team.tags() == []
    assert run.left_behind() == []
    run.error = failed.value


def test_a_private_repository_says_what_to_set(
    team: Team, monkeypatch: pytest.MonkeyPatch, private_url: str
) -> None:
    monkeypatch.setenv("SLIPWAY_SOURCE__REPOSITORY", private_url)
    with failing(team, PermanentError, "needs credentials") as run:
        run.go()


def test_a_ref_that_does_not_exist_is_named(team: Team) -> None:
    with failing(team, RefNotFound, "has no branch, tag or commit 'no-such-branch'") as run:
        run.go("no-such-branch")


def test_a_commit_that_was_announced_and_has_not_arrived_may_arrive_yet(team: Team) -> None:
    assert issubclass(CommitNotThere, TransientError)
    with failing(team, CommitNotThere, "has no commit aaaaaaaaaaaa yet") as run:
        run.go("a" * 40, branch="main")


@pytest.mark.parametrize(
    ("tests", "message", "shown"),
    [
        ("hang", "not done within their time", "test_serves is waiting"),
        ("none", "No test was run", "0 passed"),
    ],
)
def test_tests_that_do_not_pass_stop_the_line(
    team: Team, monkeypatch: pytest.MonkeyPatch, tests: str, message: str, shown: str
) -> None:
    monkeypatch.setenv("SLIPWAY_APP__TEST_TIMEOUT", "3")
    team.commit(tests=tests)
    with failing(team, TestsFailed, message, "resolve commit") as run:
        run.go()
    assert isinstance(run.error, TestsFailed)
    assert shown in f"{run.error.details} {run.error.results}"


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("dies", "ended by itself, with exit code 1"),
        ("answers wrong", "answers the model's examples wrong"),
    ],
)
def test_a_container_that_misbehaves_is_not_pushed(team: Team, app: str, message: str) -> None:
    team.commit(app=app)
    with failing(
        team, TrialFailed, message, "resolve commit", "run tests", "fetch model", "build image"
    ) as run:
        run.go()
    assert run.error
    assert "app is starting" in run.error.details


def test_a_store_without_a_model_says_how_to_publish_one(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_MODEL__NAME", "never-published")
    message = "no newest model 'never-published'"
    with failing(team, ModelNotFound, message, "resolve commit") as run:
        run.go()


def test_a_model_that_is_not_what_its_digest_promises_is_not_packed(team: Team) -> None:
    path = f"{team.model}/1.0.0/model.onnx"
    store = team.credentials.blob_store(configuration.load().model)
    content = store.read(path)
    assert content is not None
    store.replace(path, content[:-1] + b"!")
    with failing(team, DigestMismatch, "digest", "resolve commit", "run tests") as run:
        run.go()


def wrong_registry(_port: int) -> dict[str, str]:
    return {environment.USERNAME: "slipway", environment.PASSWORD: SECRET}


def wrong_store(port: int) -> dict[str, str]:
    account = f"AccountName=slipway;AccountKey={SECRET}"
    return {environment.CONNECTION_STRING: f"{account};BlobEndpoint=http://127.0.0.1:{port}/slipway"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [(wrong_registry, "refuses the credentials"), (wrong_store, "refuses access")],
)
def test_wrong_credentials_are_no_matter_of_time_and_are_not_shown(
    team: Team, instance: Instance, monkeypatch: pytest.MonkeyPatch, wrong: Wrong, message: str
) -> None:
    run = Run()
    with monkeypatch.context() as variables:
        for name, value in wrong(instance.ports.blob_store_port).items():
            variables.setenv(name, value)
        with pytest.raises(CredentialsRefused, match=message) as failed:
            run.go()
    assert team.tags() == []
    assert SECRET not in "\n".join([*run.said, str(failed.value), failed.value.details])


def test_what_is_packed_can_be_read_by_the_app_whatever_the_workers_umask(team: Team) -> None:
    before = os.umask(0o077)
    try:
        run = Run()
        image = run.go()
    finally:
        os.umask(before)
    assert run.done[-1] == "smoke test"
    assert team.registry.find(image.digest) == image


def test_a_good_commit_is_pushed(team: Team) -> None:
    """So that the cases above fail by what spoils them, and by nothing else."""
    run = Run()
    image = run.go()
    assert team.registry.find(image.digest) == image
    assert run.left_behind() == []
