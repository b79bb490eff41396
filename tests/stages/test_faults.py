"""What can be wrong with a release's replicas: the stage that finds it says what it is, and whose fault.

What a flow does about it is asserted in tests/flows/releases/test_release_failures.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.core.build.latest import LatestPointer
from flows.core.errors import ProofFailed, RolloutFailed
from tests.flows.conftest import Line
from tests.flows.environments import Place, behaving, container, manifests_with
from tests.flows.lines import line_with_image
from tests.stages.at_work import at_work
from tests.support import confined
from tests.support.platform_under_test import PlatformUnderTest

STAGING = Place("staging")
IMAGE, CONFIGURATION, INFRASTRUCTURE = "image", "configuration", "infrastructure"
SHORT = 6
"""Seconds for a rollout that never ends."""


@pytest.fixture(scope="module")
def line(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line with a good image, of which nothing is released."""
    with line_with_image(platform, tmp_path_factory.mktemp("faults"), STAGING) as made:
        yield made


@pytest.fixture
def image(line: Line) -> LatestPointer:
    assert line.latest
    return line.latest


@dataclass(frozen=True)
class Case:
    """Manifests that spoil the release, and what is said of it."""

    changes: tuple[dict[str, Any], ...]
    error: type[RolloutFailed] | type[ProofFailed]
    message: str
    fault: str
    short: bool = False


CASES = {
    "crash at start": Case((behaving("dies"),), RolloutFailed, "keeps crashing (exit code 1", IMAGE),
    "ready, then crashes under the first request": Case(
        (behaving("dies when asked"),), ProofFailed, "", IMAGE
    ),
    "ready, but answers wrong": Case(
        (behaving("answers wrong"),), ProofFailed, "answers the model's examples wrong", IMAGE
    ),
    "answers right, but /version is another's": Case(
        (behaving("another version"),), ProofFailed, "ffffffffffff", IMAGE
    ),
    "never ready": Case(
        (behaving("never ready"),), RolloutFailed, f"was not done within {SHORT} s", IMAGE, short=True
    ),
    "memory limit too low": Case(
        container(resources={"requests": {"memory": "6Mi"}, "limits": {"memory": "8Mi"}}),
        RolloutFailed,
        "OOMKilled",
        CONFIGURATION,
    ),
    "unschedulable": Case(
        container(resources={"requests": {"cpu": "1000"}}), RolloutFailed, "cpu", INFRASTRUCTURE, short=True
    ),
}


SLOW = {"ready, then crashes under the first request", "memory limit too low", "unschedulable"} | {
    "answers right, but /version is another's"
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, case in CASES.items()
    ],
)
def test_a_release_that_fails_says_what_it_was_and_whose_fault(
    image: LatestPointer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: Case
) -> None:
    if case.short:
        monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__ROLLOUT_TIMEOUT", str(SHORT))
    monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_with(tmp_path, *case.changes)))
    with at_work("staging") as work, pytest.raises(case.error) as failed:
        work.put_in_force(image.digest)
    assert case.message in failed.value.happened
    assert failed.value.fault == case.fault


def test_a_missing_image_is_noticed_before_the_time_is_up(
    line: Line, image: LatestPointer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = f"{line.registry.name}:missing"
    before = {
        "op": "add",
        "path": "/spec/template/spec/initContainers",
        "value": [{"name": "before", "image": missing, "securityContext": confined.CONTAINER}],
    }
    monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_with(tmp_path, before)))
    with at_work("staging") as work, pytest.raises(RolloutFailed) as failed:
        work.put_in_force(image.digest)
    assert f"The rollout can't succeed: the registry has no image {missing}" in failed.value.happened
    assert failed.value.fault == CONFIGURATION  # the manifests name it


@pytest.mark.slow
def test_a_pull_that_is_denied_blames_no_image(
    line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unknown = line.mint()  # to any node
    denied = {"op": "replace", "path": "/spec/template/spec/imagePullSecrets/0/name", "value": "nobody"}
    monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_with(tmp_path, denied)))
    with at_work("staging") as work, pytest.raises(RolloutFailed) as failed:
        work.put_in_force(unknown.digest)
    assert "the registry refuses the cluster" in failed.value.happened
    assert failed.value.fault == CONFIGURATION


def test_a_good_release_is_proven(image: LatestPointer) -> None:
    """So that the cases above fail by what spoils them, and by nothing else."""
    with at_work("staging") as work:
        proof = work.put_in_force(image.digest)
    assert "every replica answered with the right capsule" in str(proof)
    assert STAGING.version()["capsule"] == image.content.capsule
