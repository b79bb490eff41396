"""What goes wrong on the way to an image: each failure says so, and leaves everything as it was."""

import base64
import random

import pytest
from prefect.blocks.core import Block
from prefect_azure import AzureBlobStorageCredentials
from prefect_docker import DockerRegistryCredentials

from flows.config import load as configuration
from flows.credentials.prefect_blocks import blob_store
from flows.services.models.model_store import ModelStore
from tests.flows.conftest import Ended, Line
from tests.stand_ins.unreliable_network import breaking_line

SECRET = base64.b64encode(b"not-the-password").decode()


def wrong_credentials(variable: str, line: Line) -> Block:
    """A block that leads to the platform's own registry or store, with a secret that it does not accept."""
    if variable == "REGISTRY":
        registry: Block = DockerRegistryCredentials(username="slipway", password=SECRET, registry_url="here")
        return registry
    port = line.platform.instance.ports.blob_store_port
    account = f"AccountName=slipway;AccountKey={SECRET}"
    endpoint = f"BlobEndpoint=http://127.0.0.1:{port}/slipway"
    store: Block = AzureBlobStorageCredentials(connection_string=f"{account};{endpoint}")
    return store


def assert_nothing_came_of(run: Ended, line: Line) -> None:
    """No image, no pointer, no container."""
    assert not run.succeeded
    assert line.latest is None
    assert line.tags() == []
    assert run.left_behind() == []


def test_a_private_repository_fails_at_once_and_says_what_to_set(
    line: Line, monkeypatch: pytest.MonkeyPatch, private_url: str
) -> None:
    monkeypatch.setenv("SLIPWAY_SOURCE__REPOSITORY", private_url)
    run = line.ci()
    assert "needs credentials" in run.message
    assert run.tasks()["resolve commit"] == ("FAILED", 1)


def test_a_ref_that_does_not_exist_is_tried_once(line: Line) -> None:
    run = line.ci("no-such-branch")
    assert "has no branch, tag or commit 'no-such-branch'" in run.message
    assert run.tasks()["resolve commit"] == ("FAILED", 1)
    assert_nothing_came_of(run, line)


def test_a_commit_that_was_announced_and_has_not_arrived_is_left_to_the_triggers(line: Line) -> None:
    """Its run counts as crashed, after which triggers start a commit anew; nobody is told of a crash."""
    run = line.ci("a" * 40, branch="main")
    assert (run.state.type.value, run.state.name) == ("CRASHED", "NotThereYet")
    assert "has no commit aaaaaaaaaaaa yet" in run.message
    assert run.tasks()["resolve commit"] == ("FAILED", 4)
    assert_nothing_came_of(run, line)
    assert "# main: failed" not in run.artifacts()


def test_what_fails_before_there_is_a_commit_pins_no_model(line: Line) -> None:
    line.publish("1.1.0", "colours")
    assert not line.ci("no-such-branch", model="1.0.0").succeeded
    store = ModelStore(blob_store(configuration.load().model), configuration.state_folder() / "models")
    assert store.pinned(line.model) is None


@pytest.mark.parametrize(
    ("tests", "told", "shown"),
    [
        ("fail", "1 of 1 tests failed: check.test_serves", "expected a cat"),
        ("hang", "not done within their time", "test_serves is waiting"),
        ("none", "No test was run", "0 passed"),
    ],
)
def test_tests_that_do_not_pass_stop_the_line(
    line: Line, monkeypatch: pytest.MonkeyPatch, tests: str, told: str, shown: str
) -> None:
    monkeypatch.setenv("SLIPWAY_APP__TEST_TIMEOUT", "3")
    line.commit(tests=tests)
    run = line.ci()
    assert told in run.message
    assert "exception" not in run.message
    assert f"# main: failed: {run.message[:15]}" in run.artifacts()
    assert shown in run.artifacts()
    assert "keep tests" not in run.tasks()
    assert "build image" not in run.tasks()
    assert_nothing_came_of(run, line)


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("dies", "ended by itself, with exit code 1"),
        ("answers wrong", "answers the model's examples wrong"),
    ],
)
def test_a_container_that_misbehaves_is_not_pushed(line: Line, app: str, told: str) -> None:
    line.commit(app=app)
    run = line.ci()
    assert told in run.message
    assert "app is starting" in run.artifacts()
    assert "app is starting" in run.log()
    assert "push image" not in run.tasks()
    assert_nothing_came_of(run, line)


def test_a_store_without_a_model_says_how_to_publish_one(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_MODEL__NAME", "nobody-published-this")
    run = line.ci()
    assert "no newest model 'nobody-published-this'" in run.message
    assert run.tasks()["resolve model"] == ("FAILED", 1)
    assert_nothing_came_of(run, line)


def test_a_model_that_is_not_what_its_digest_promises_is_not_packed(line: Line) -> None:
    store = blob_store(configuration.load().model)
    path = f"{line.model}/1.0.0/model.onnx"
    content = store.read(path)
    assert content is not None
    store.replace(path, content[:-1] + b"!")
    run = line.ci()
    assert "digest" in run.message.lower()
    assert run.tasks()["fetch model"] == ("FAILED", 1)
    assert_nothing_came_of(run, line)


@pytest.mark.parametrize(
    ("variable", "told"),
    [("REGISTRY", "refuses the credentials"), ("MODEL", "refuses our credentials")],
)
def test_wrong_credentials_fail_at_once_and_are_not_shown(
    line: Line, monkeypatch: pytest.MonkeyPatch, variable: str, told: str
) -> None:
    wrong_credentials(variable, line).save(f"wrong-{variable.lower()}", overwrite=True)
    monkeypatch.setenv(f"SLIPWAY_{variable}__CREDENTIALS", f"wrong-{variable.lower()}")
    run = line.ci()
    assert told in run.message
    assert "block" in run.message
    assert all(tries == 1 for _, tries in run.tasks().values())
    assert SECRET not in run.message + run.log() + run.artifacts()


def test_a_registry_that_dies_in_the_middle_of_a_push_is_tried_again_and_latest_stays(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.ci()
    before, tags = line.latest, line.image_tags()
    line.commit("Too late", ballast=random.randbytes(1 << 20).hex())
    address = configuration.load().registry.address
    monkeypatch.setenv("SLIPWAY_REGISTRY__PUSH_TIMEOUT", "3")  # docker itself goes on trying for 50 s
    monkeypatch.setattr("flows.runtime.tasks.push_image.retry_delay_seconds", [0.1, 0.1, 0.1])
    with breaking_line(int(address.rsplit(":", 1)[1]), up=500_000) as network:
        monkeypatch.setenv("SLIPWAY_REGISTRY__ADDRESS", f"localhost:{network.port}")
        run = line.ci()
    monkeypatch.setenv("SLIPWAY_REGISTRY__ADDRESS", address)
    assert "could not be reached" in run.message or "could not be pushed" in run.message
    stages = run.tasks()
    assert stages.pop("push image") == ("FAILED", 4)
    assert set(stages.values()) == {("COMPLETED", 1)}
    assert line.latest == before
    assert line.image_tags() == tags
