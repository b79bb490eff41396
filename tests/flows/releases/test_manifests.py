"""Manifests go from git to staging, and from staging to production: what staging never proved stays there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.core.explain.live import explain
from flows.explain.ask import status
from tests.flows.conftest import Line
from tests.flows.environments import Place, container, manifests_with
from tests.flows.lines import line_with_image
from tests.support.commits import commit_all
from tests.support.platform_under_test import PlatformUnderTest

STAGING, PRODUCTION = Place("staging"), Place("production")
TOO_SMALL = container(resources={"requests": {"memory": "6Mi"}, "limits": {"memory": "8Mi"}})


@pytest.fixture(scope="module")
def line(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line whose first image went all the way."""
    with line_with_image(platform, tmp_path_factory.mktemp("manifests"), STAGING, PRODUCTION) as made:
        first = made.release(environment="every")
        assert first.succeeded, first.message
        yield made


@pytest.fixture
def commit_manifests(line: Line) -> Callable[..., str]:
    """Commits the project's manifests with other changes than before, and returns the commit."""
    repository = Path(line.environment["SLIPWAY_MANIFESTS__REPOSITORY"])

    def commit(*operations: dict[str, Any]) -> str:
        changed = manifests_with(repository.parent / "changed", *operations)
        for file in (changed / "overlays").glob("*/kustomization.yaml"):
            (repository / "overlays" / file.parent.name / file.name).write_text(file.read_text())
        return commit_all(repository, "Other manifests")

    return commit


def why(environment: str) -> str:
    return "\n".join(explain(status(environment)))


def grace(seconds: int) -> dict[str, Any]:
    return {"op": "replace", "path": "/spec/template/spec/terminationGracePeriodSeconds", "value": seconds}


def seconds_of_grace(place: Place) -> int:
    deployment = place.cluster.find_deployment()
    assert deployment
    return int(deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])


def test_production_takes_the_manifests_that_staging_has_and_not_newer_ones(
    line: Line, commit_manifests: Callable[..., str]
) -> None:
    good = commit_manifests(grace(21))
    staged = line.release()
    assert staged.succeeded, staged.message
    assert "the manifests changed" in staged.message
    source = STAGING.history()[0].source
    assert source
    assert (source.commit, seconds_of_grace(STAGING)) == (good, 21)

    newer = commit_manifests(grace(22))[:7]
    assert f"(live) with the manifests commit {newer}: " in why("staging")
    assert f"was not released to staging with commit {newer} yet; in staging: " in why("production")
    promoted = line.release(environment="production")
    assert promoted.succeeded, promoted.message
    assert PRODUCTION.history()[0].source == STAGING.history()[0].source
    assert seconds_of_grace(PRODUCTION) == 21


@pytest.mark.slow
def test_manifests_that_failed_in_staging_do_not_reach_production(
    line: Line, commit_manifests: Callable[..., str]
) -> None:
    before = PRODUCTION.history()[0].number
    commit_manifests(*TOO_SMALL)
    run = line.release(environment="every")
    assert not run.succeeded
    assert "is in force again" in run.message
    asked = line.release("latest", environment="production")
    assert "is live already" in asked.message
    assert PRODUCTION.history()[0].number == before


def test_a_file_that_is_not_committed_is_not_released(
    line: Line, commit_manifests: Callable[..., str]
) -> None:
    commit_manifests(grace(23))
    assert line.release().succeeded
    file = Path(line.environment["SLIPWAY_MANIFESTS__REPOSITORY"]) / "overlays/staging/kustomization.yaml"
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "namePrefix": "other-"}))
    skipped = line.release()
    assert skipped.state.name == "Skipped", skipped.message
    assert "is live already" in skipped.message
