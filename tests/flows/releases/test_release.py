"""What becomes of an image that is released, and what is reported when that can't be."""

from collections.abc import Iterator

import pytest

from flows.config import load as configuration
from tests.flows.conftest import Line
from tests.flows.environments import Place
from tests.flows.lines import line_with_image
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.prefect_client import asking

STAGING = Place("staging")


@pytest.fixture(scope="module")
def built(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line whose latest image is built, for tests that leave it as it is."""
    with line_with_image(platform, tmp_path_factory.mktemp("built"), STAGING) as line:
        yield line


def test_latest_goes_live_and_every_replica_answers_as_it(built: Line) -> None:
    sha = built.git("rev-parse", "HEAD")
    run = built.release(reason="a test")
    assert run.succeeded, run.message
    answer = STAGING.version()
    assert built.latest is not None
    assert (answer["capsule"], answer["commit"]) == (built.latest.content.capsule, sha)
    assert f"staging runs {sha[:7]} + {built.model} 1.0.0" in run.message
    assert "| verify replicas |" in run.artifacts()
    digest = built.latest.digest[:19]
    assert f"The variable slipway_live_staging says that {digest} is live there" in run.log()
    page = built.history_page("staging")
    with asking(built.platform.api) as client:  # as if the run had been killed before it wrote its own
        before = {"key": "live-staging", "type": "markdown", "data": "# Nothing is live in staging"}
        client.post("/artifacts/", json=before).raise_for_status()
    again = built.release()
    assert again.succeeded
    assert built.history_page("staging") == page
    assert "Nothing to release to staging" in again.message
    assert "is live already" in again.message
    assert "apply manifests" not in again.tasks()


@pytest.mark.slow
def test_an_image_can_be_chosen_by_capsule_or_by_digest(line: Line) -> None:
    STAGING.empty()
    first, second = line.mint(), line.mint()
    for image, expected in ((first.content.capsule, first), (second.digest, second)):
        run = line.release(image)
        assert run.succeeded, run.message
        assert STAGING.version()["capsule"] == expected.content.capsule


def test_an_image_that_is_not_there_says_so(built: Line) -> None:
    run = built.release("no-such-tag")
    assert "The registry holds no" in run.message
    assert run.tasks()["resolve image"] == ("FAILED", 1)


def test_a_missing_namespace_names_the_command_that_creates_it(
    built: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__NAMESPACE", "nowhere")
    run = built.release()
    assert "may not create tokens of slipway-release in 'nowhere'" in run.message
    assert "python -m deployments.cluster.bootstrap" in run.message
    assert run.tasks()["observe"] == ("FAILED", 1)


def test_an_environment_that_slipway_toml_does_not_name_lists_those_it_does(built: Line) -> None:
    run = built.release(environment="paradise")
    assert "no environment 'paradise'" in run.message
    assert ", ".join(configuration.load().environments) in run.message
