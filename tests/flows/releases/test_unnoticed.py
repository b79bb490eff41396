"""Users of an environment notice no release: no good one, no bad one and its undoing, no rollback."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.local.network import edge
from flows.rollback import rollback
from tests.flows.conftest import Ended, Line
from tests.flows.environments import Place, behaving, manifests_as_they_are
from tests.flows.lines import line_with_image
from tests.support.load import Seen, load
from tests.support.platform_under_test import PlatformUnderTest

STAGING = Place("staging")


@pytest.fixture(scope="module")
def line(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line with a release in staging, and another image to come."""
    folder = tmp_path_factory.mktemp("unnoticed")
    with (
        line_with_image(platform, folder, STAGING) as made,
        pytest.MonkeyPatch.context() as variables,
    ):
        variables.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_as_they_are(folder)))
        assert made.release().succeeded
        made.mint()
        yield made


@contextmanager
def no_request_fails(line: Line) -> Iterator[Seen]:
    """Users ask all the while, and each of them has an answer; else the error names what the edge met."""
    began = datetime.now(UTC)
    with load(f"{STAGING.url}/version") as seen:
        yield seen
    assert seen.failed == 0, f"{seen}\n{retried_or_failed(line, began)}"


def retried_or_failed(line: Line, since: datetime) -> str:
    """The edge's line of each request that it retried, or could not have answered."""
    container = line.platform.instance.container(edge.ROLE)
    command = ["docker", "logs", f"--since={since.isoformat()}", "--timestamps", container]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_no_request_fails_during_a_release(line: Line) -> None:
    with no_request_fails(line) as seen:
        run = line.release()
    assert run.succeeded, run.message
    assert seen.total > 500


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["dies", "another version"])
def test_no_request_fails_during_a_bad_release_and_its_undoing(
    line: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str
) -> None:
    monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_as_they_are(tmp_path, behaving(fault))))
    with no_request_fails(line):
        run = line.release(force=True, reason="a test")
    assert "is in force again" in run.message


@pytest.mark.slow
def test_no_request_fails_during_a_rollback(line: Line) -> None:
    assert line.release().succeeded  # the second, unless a test before has released it
    with no_request_fails(line):
        state = rollback(environment="staging", reason="a test", by="Ada", return_state=True)
    assert Ended(line.platform, state).succeeded, state.message
