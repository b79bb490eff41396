"""What becomes of an image that is released, and what is told when that can't be."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from flows import settings
from tests.flows.conftest import Line, new_line
from tests.platform_under_test import PlatformUnderTest


@pytest.fixture(autouse=True)
def quick_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__ROLLOUT_TIMEOUT", "25")


@pytest.fixture(scope="module")
def built(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line whose latest image is built, for tests that leave it as it is."""
    with pytest.MonkeyPatch.context() as variables:
        line = new_line(platform, tmp_path_factory.mktemp("built") / "team", variables)
        assert line.ci().succeeded
        yield line


def test_latest_goes_live_and_every_replica_answers_as_it(built: Line) -> None:
    sha = built.git("rev-parse", "HEAD")
    run = built.release(reason="a test")
    assert run.succeeded, run.message
    answer = httpx.get(f"{built.platform.app_url}/version", trust_env=False).json()
    assert built.latest is not None
    assert (answer["capsule"], answer["commit"]) == (built.latest.capsule, sha)
    assert f"production runs {sha[:7]} + {built.model} 1.0.0" in run.message
    assert "| prove from outside |" in run.artifacts()
    again = built.release()
    assert again.succeeded
    assert "Nothing to release to production" in again.message
    assert "is live already" in again.message
    assert "apply manifests" not in again.tasks()


def test_an_image_can_be_chosen_by_capsule_or_by_digest(line: Line) -> None:
    line.ci()
    first = line.latest
    line.commit()
    line.ci()
    assert first is not None
    for image in (first.capsule, first.digest):
        run = line.release(image)
        assert run.succeeded, run.message
        answer = httpx.get(f"{line.platform.app_url}/version", trust_env=False).json()
        assert answer["capsule"] == first.capsule


def test_an_image_that_is_not_there_says_so(built: Line) -> None:
    run = built.release("no-such-tag")
    assert "The registry holds no" in run.message
    assert run.tasks()["find image"] == ("FAILED", 1)


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("dies", "keeps crashing (exit code 1)"),
        ("never ready", "was not done within 12 s"),
        ("another version", "answered with capsule ffffffffffff"),
        ("answers wrong", "answers the model's examples wrong"),
    ],
)
def test_an_image_that_is_only_good_in_the_trial_fails_with_what_explains_it(
    line: Line, monkeypatch: pytest.MonkeyPatch, app: str, told: str
) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__ROLLOUT_TIMEOUT", "12")
    line.commit(app=app, where="cluster")
    line.ci()
    run = line.release()
    assert not run.succeeded
    assert told in run.message
    if app in {"dies", "never ready"}:
        assert "app is starting" in run.artifacts()
        assert "event" in run.artifacts()


def test_a_cluster_that_is_away_is_tried_again(
    built: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(built.platform.kubeconfig, kubeconfig)
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    kubeconfig.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("flows.tasks.decide.retry_delay_seconds", [0.1, 0.1, 0.1])
    run = built.release()
    assert "could not be reached" in run.message
    assert run.tasks()["observe and decide"] == ("FAILED", 4)


def test_a_missing_namespace_names_the_command_that_creates_it(
    built: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__NAMESPACE", "nowhere")
    run = built.release()
    assert "has no namespace 'nowhere'" in run.message
    assert "python -m deployments.bootstrap" in run.message
    assert run.tasks()["observe and decide"] == ("FAILED", 1)


def test_an_environment_that_slipway_toml_does_not_name_lists_those_it_does(built: Line) -> None:
    run = built.release(environment="paradise")
    assert "no environment 'paradise'" in run.message
    assert ", ".join(settings.load().environments) in run.message
