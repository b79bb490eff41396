"""What becomes of an image that is released, and what is told when that can't be."""

import shutil
from pathlib import Path

import httpx
import pytest
import yaml

from flows import settings
from tests.flows.conftest import Line


@pytest.fixture(autouse=True)
def quick_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__ROLLOUT_TIMEOUT", "25")


def test_latest_goes_live_and_every_replica_answers_as_it(line: Line) -> None:
    sha = line.commit("Release me")
    line.ci()
    run = line.release(reason="a test")
    assert run.succeeded, run.message
    answer = httpx.get(f"{line.platform.app_url}/version", trust_env=False).json()
    assert line.latest is not None
    assert (answer["capsule"], answer["commit"]) == (line.latest.capsule, sha)
    assert f"production runs {sha[:7]} + {line.model} 1.0.0" in run.message
    assert "| prove from outside |" in run.artifacts()


def test_what_is_live_already_is_skipped(line: Line) -> None:
    line.ci()
    line.release()
    again = line.release()
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


def test_an_image_that_is_not_there_says_so(line: Line) -> None:
    run = line.release("no-such-tag")
    assert "The registry holds no" in run.message
    assert run.tasks()["find image"] == ("FAILED", 1)


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("dies", "keeps crashing (exit code 1)"),
        ("never ready", "was not done within 25 s"),
        ("another version", "answered with capsule ffffffffffff"),
        ("answers wrong", "answers the model's examples wrong"),
    ],
)
def test_an_image_that_is_only_good_in_the_trial_fails_with_what_explains_it(
    line: Line, monkeypatch: pytest.MonkeyPatch, app: str, told: str
) -> None:
    monkeypatch.setattr("flows.services.proof.DEADLINE", 8)
    line.commit(app=app, where="cluster")
    line.ci()
    run = line.release()
    assert not run.succeeded
    assert told in run.message
    if app in {"dies", "never ready"}:
        assert "app is starting" in run.artifacts()
        assert "event" in run.artifacts()


def test_a_cluster_that_is_away_is_tried_again(
    line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    line.ci()
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(line.platform.kubeconfig, kubeconfig)
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    kubeconfig.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("flows.tasks.decide.retry_delay_seconds", [0.1, 0.1, 0.1])
    run = line.release()
    assert "could not be reached" in run.message
    assert run.tasks()["observe and decide"] == ("FAILED", 4)


def test_a_missing_namespace_names_the_command_that_creates_it(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.ci()
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__NAMESPACE", "nowhere")
    run = line.release()
    assert "has no namespace 'nowhere'" in run.message
    assert "python -m deployments.bootstrap" in run.message
    assert run.tasks()["observe and decide"] == ("FAILED", 1)


def test_an_environment_that_slipway_toml_does_not_name_lists_those_it_does(line: Line) -> None:
    line.ci()
    run = line.release(environment="paradise")
    assert "no environment 'paradise'" in run.message
    assert ", ".join(settings.load().environments) in run.message
