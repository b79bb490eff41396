"""A sidecar, a second Deployment, an autoscaler and a CronJob: released, undone, rolled back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.config import load as configuration
from flows.rollback import rollback
from tests.flows.conftest import Ended, Line
from tests.flows.environments import Place, behaving, manifests_with
from tests.flows.lines import line_with_image
from tests.support import confined
from tests.support.commits import commit_all
from tests.support.platform_under_test import PlatformUnderTest

STAGING = Place("staging")
KINDS = "deployments,cronjobs,horizontalpodautoscalers,configmaps,jobs"


@pytest.fixture(scope="module")
def line(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    with line_with_image(platform, tmp_path_factory.mktemp("further"), STAGING) as made:
        yield made
        STAGING.kubectl("delete", KINDS, "--selector=test=further", "--wait=false")


def confined_pod(name: str, command: list[str], **spec: Any) -> dict[str, Any]:
    container = {"name": name, "image": "app", "command": command, "securityContext": confined.CONTAINER}
    return {
        "imagePullSecrets": [{"name": "slipway-registry"}],
        "terminationGracePeriodSeconds": 1,
        "securityContext": confined.POD,
        "containers": [container],
        **spec,
    }


SLEEP = ["python3", "-c", "import time; time.sleep(3600)"]


def second_deployment(command: list[str]) -> dict[str, Any]:
    labels = {"app": "worker", "test": "further"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "worker", "labels": {"test": "further"}},
        "spec": {
            "selector": {"matchLabels": {"app": "worker"}},
            "template": {"metadata": {"labels": labels}, "spec": confined_pod("worker", command)},
        },
    }


AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "classifier", "labels": {"test": "further"}},
    "spec": {
        "minReplicas": 4,
        "maxReplicas": 6,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "classifier"},
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 90}},
            }
        ],
    },
}


def sidecar(image: str) -> dict[str, Any]:
    """A patch of the app's Deployment."""
    container = {**confined_pod("proxy", SLEEP)["containers"][0], "image": image}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "classifier"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


CRON_JOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "report", "labels": {"test": "further"}},
    "spec": {
        "schedule": "0 3 * * *",
        "jobTemplate": {
            "spec": {"template": {"spec": confined_pod("report", ["true"], restartPolicy="Never")}}
        },
    },
}


def not_tidy(folder: Path, image: str, *changes: dict[str, Any], worker: list[str]) -> Path:
    """The project's manifests with all four in staging's overlay: a sidecar of that image, a worker that runs
    that command."""
    made = manifests_with(folder, *changes)
    overlay = made / "overlays" / configuration.load().environment("staging").overlay
    objects = [second_deployment(worker), AUTOSCALER, CRON_JOB]
    (overlay / "further.yaml").write_text(yaml.safe_dump_all(objects))
    (overlay / "sidecar.yaml").write_text(yaml.safe_dump(sidecar(image)))
    file = overlay / "kustomization.yaml"
    content = yaml.safe_load(file.read_text())
    for patch in content["patches"]:  # those of the Deployment are the app's
        if patch.get("target") == {"kind": "Deployment"}:
            patch["target"] = {"kind": "Deployment", "name": "classifier"}
    content["resources"].append("further.yaml")
    content["patches"].append({"path": "sidecar.yaml"})
    file.write_text(yaml.safe_dump(content))
    commit_all(made, "Further objects")
    return made


def there() -> set[str]:
    """Kind and name of the further objects."""
    listed = json.loads(STAGING.kubectl("get", KINDS, "--selector=test=further", "--output=json"))
    return {f"{item['kind']} {item['metadata']['name']}" for item in listed["items"]}


FURTHER = {"Deployment worker", "HorizontalPodAutoscaler classifier", "CronJob report"}


def replicas() -> int:
    return int(STAGING.kubectl("get", "deployment/classifier", "--output=jsonpath={.spec.replicas}"))


@pytest.mark.slow
def test_a_release_its_undo_and_a_rollback_hold_further_objects(
    line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_with(tmp_path / "plain")))
    assert line.latest
    helper = f"{line.registry.name}@{line.latest.digest}"
    first = line.mint()
    plain = line.release()
    assert plain.succeeded, plain.message
    assert there() == set()

    def undone(*changes: dict[str, Any], worker: list[str]) -> str:
        """A release with all four that fails: nothing of it is left, and three replicas are."""
        made = not_tidy(tmp_path / "bad", helper, *changes, worker=worker)
        monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(made))
        run = line.release(force=True, reason="a test", by="Ada")
        assert not run.succeeded
        assert "is in force again" in run.message, run.message
        assert STAGING.version()["capsule"] == first.content.capsule
        assert (there(), replicas()) == (set(), 3)
        return run.message

    assert "container app keeps crashing" in undone(behaving("dies"), worker=SLEEP)
    assert "Deployment worker: container worker keeps crashing" in undone(worker=["false"])

    monkeypatch.setenv(
        "SLIPWAY_MANIFESTS__REPOSITORY", str(not_tidy(tmp_path / "good", helper, worker=SLEEP))
    )
    second = line.mint()
    good = line.release()
    assert good.succeeded, good.message
    assert STAGING.version()["capsule"] == second.content.capsule
    assert there() == FURTHER
    again = line.release()
    assert "is live already" in again.message

    state = rollback(environment="staging", reason="a test", by="Ada", return_state=True)
    back = Ended(line.platform, state)
    assert back.succeeded, back.message
    assert STAGING.version()["capsule"] == first.content.capsule
    assert (there(), replicas()) == (set(), 3)
