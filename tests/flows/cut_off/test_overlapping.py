"""Releases and rollbacks in each other's way."""

import pytest

from flows.core.build.latest import LatestPointer
from flows.services.kubernetes import lease
from tests.flows.conftest import Line
from tests.flows.cut_off.runs import (
    STAGING,
    digest_that_answers,
    processes_of,
    recovered,
    wait_for_rollout,
)
from tests.support.waiting import wait_until


@pytest.mark.slow
def test_of_two_releases_at_once_the_second_waits_and_finds_it_done(
    in_staging: Line, coming: LatestPointer
) -> None:
    runs = [in_staging.start("release/on-demand", environment="staging", image="latest") for _ in range(2)]
    ended = [in_staging.platform.wait(run) for run in runs]
    assert [run.state for run in ended] == ["COMPLETED", "COMPLETED"]
    assert sorted(run.state_name for run in ended) == ["Completed", "Skipped"]
    skipped = next(run for run in ended if run.state_name == "Skipped")
    assert "is live already" in skipped.message
    assert STAGING.verdicts().count("deployed") == 1
    assert digest_that_answers() == coming.digest


def test_a_release_gives_up_waiting_and_says_for_whom(
    in_staging: Line, coming: LatestPointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__LOCK_WAIT", "2")
    with lease.acquire(STAGING.cluster, "another-run", 30, print):
        run = in_staging.release()
    assert run.succeeded
    assert "another-run is at work" in run.message
    assert STAGING.history()[0].image.digest != coming.digest


@pytest.mark.slow
def test_a_release_waits_for_a_rollback_and_then_finds_the_environment_held(
    in_staging: Line, coming: LatestPointer
) -> None:
    assert in_staging.release().succeeded
    back = in_staging.start("rollback/on-demand", environment="staging", reason="a test", by="Ada")
    wait_until(lambda: STAGING.holder() == back.id, "the rollback does not begin")
    run = in_staging.release()
    assert "is held since" in run.message
    assert in_staging.platform.wait(back).state == "COMPLETED"
    lifted = in_staging.platform.wait(in_staging.start("resume/on-demand", environment="staging"))
    assert lifted.message == "staging is no longer held."


@pytest.mark.slow
def test_a_run_that_was_frozen_and_overtaken_changes_nothing_any_more(
    in_staging: Line, live: str, coming: LatestPointer, never_ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = in_staging.start_release(coming.digest)
    wait_for_rollout(frozen)
    [process] = processes_of(frozen)
    process.suspend()
    try:
        run = recovered(in_staging)
        assert "is undone now" in run.message
        assert digest_that_answers() == live
        before = STAGING.generation()
    finally:
        process.resume()
    ended = in_staging.platform.wait(frozen)
    assert ended.state == "FAILED"
    assert "Another run has taken over" in ended.message
    assert STAGING.generation() == before
    assert STAGING.verdicts()[0] == "rolled_back"
    assert digest_that_answers() == live
