"""One good release, and what comes after it, for tests that interrupt that."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.core.build.latest import LatestPointer
from tests.flows.conftest import Line
from tests.flows.cut_off.runs import STAGING
from tests.flows.environments import behaving, manifests_with
from tests.flows.lines import line_with_image
from tests.support.platform_under_test import PlatformUnderTest

LEASE = 6
"""Seconds until a killed run's lock may be taken over: renewals on busy cores are not later than that."""


@pytest.fixture(scope="module")
def in_staging(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line with one good release in staging; what each test leaves there is good, too."""
    with (
        line_with_image(platform, tmp_path_factory.mktemp("released"), STAGING) as line,
        pytest.MonkeyPatch.context() as variables,
    ):
        variables.setenv("SLIPWAY_RUNS__LEASE", str(LEASE))
        first = line.release()
        assert first.succeeded, first.message
        yield line


@pytest.fixture
def live(in_staging: Line) -> str:
    """The digest of what is live, before the test."""
    return next(record for record in STAGING.history() if record.verdict == "deployed").image.digest


@pytest.fixture
def coming(in_staging: Line, live: str) -> LatestPointer:
    """Another good image."""
    return in_staging.mint()


@pytest.fixture
def never_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A rollout that takes as long as a test wants."""
    monkeypatch.setenv(
        "SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_with(tmp_path, behaving("never ready")))
    )
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__ROLLOUT_TIMEOUT", "300")
