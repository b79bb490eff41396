"""Releases that don't come to their end: killed, cancelled, overtaken, or in each other's way."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client

from deployments.local.wait import wait_until
from flows.config import load as configuration
from flows.config.load import CHECKOUT
from flows.core.build.latest import LatestPointer
from flows.core.errors import UndoFailed
from flows.core.trigger.run_labels import key_of_again
from flows.hold import hold, resume
from flows.rollback import rollback
from flows.services.kubernetes import lease
from flows.services.prefect.client import FlowRun
from flows.verify import verify
from tests.flows.conftest import Ended, Line
from tests.flows.cut_off.runs import (
    PATIENCE,
    STAGING,
    digest_that_answers,
    processes_of,
    recovered,
    wait_for_rollout,
)
from tests.flows.environments import behaving, manifests_with, without_api_server
from tests.flows.killed_release import BACK
from tests.stand_ins.slow_api_server import SlowApiServer, slow_api_server
from tests.support import worker


def kill(in_staging: Line, point: str, image: str) -> None:
    """Release to staging, or roll it back, in a process of its own that is killed at that point."""
    command = [sys.executable, "-m", "tests.flows.killed_release", point, image]
    variables = in_staging.platform.environment | {
        k: v for k, v in os.environ.items() if k.startswith("SLIPWAY_")
    }
    killed = subprocess.run(command, cwd=CHECKOUT, env=variables, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert STAGING.verdicts()[0] == "pending"


@pytest.mark.parametrize(
    ("point", "outcome", "verdict"),
    [
        ("after the record", "is undone now", "rolled_back"),
        ("in the middle of apply", "is undone now", "rolled_back"),
        ("during soak", "is finished now", "deployed"),
        ("while undoing", "is undone now", "failed"),
    ],
)
def test_the_run_after_one_that_was_killed_finishes_or_undoes_its_release(
    in_staging: Line,
    live: str,
    coming: LatestPointer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
    outcome: str,
    verdict: str,
) -> None:
    if point == "while undoing":
        monkeypatch.setenv("SLIPWAY_APP__MANIFESTS", str(manifests_with(tmp_path, behaving("dies"))))
    kill(in_staging, point, coming.digest)
    run = recovered(in_staging)
    assert run.succeeded, run.message
    assert outcome in run.message
    assert STAGING.verdicts()[0] == verdict
    assert digest_that_answers() == (coming.digest if verdict == "deployed" else live)
    assert bool(STAGING.notes().mark_of(coming.digest)) == (verdict == "failed")


def test_a_release_that_is_finished_by_another_run_lifts_the_hold_as_its_own_would_have(
    in_staging: Line, live: str, coming: LatestPointer
) -> None:
    assert hold(environment="staging", reason="a demo", by="Bob", return_state=True).is_completed()
    kill(in_staging, "during soak", coming.digest)
    assert in_staging.release(coming.digest, by="Ada").succeeded
    assert STAGING.verdicts()[0] == "deployed"
    assert STAGING.notes().hold is None


def test_a_verification_sees_what_a_killed_run_left(
    in_staging: Line, live: str, coming: LatestPointer
) -> None:
    kill(in_staging, "during soak", coming.digest)
    told = Ended(in_staging.platform, verify(environment="staging", return_state=True)).message
    assert "was left in the middle, which `recover` ends" in told
    assert recovered(in_staging).succeeded


@pytest.mark.parametrize(
    ("point", "outcome", "verdicts"),
    [
        ("in the middle of apply", "is undone now", ["rolled_back", "deployed"]),
        ("during soak", "is finished now", ["deployed", "rolled_back"]),
    ],
)
def test_a_rollback_that_was_killed_is_finished_or_undone_and_the_environment_stays_held(
    in_staging: Line, live: str, coming: LatestPointer, point: str, outcome: str, verdicts: list[str]
) -> None:
    assert in_staging.release(coming.digest, force=True, reason="a test").succeeded
    kill(in_staging, point, BACK)
    assert outcome in recovered(in_staging).message
    assert STAGING.verdicts()[:2] == verdicts
    assert digest_that_answers() == (live if verdicts[0] == "deployed" else coming.digest)
    assert STAGING.notes().hold is not None
    assert resume(environment="staging", return_state=True).is_completed()


def test_a_rollback_that_is_started_anew_after_it_was_killed_goes_back_all_the_same(
    in_staging: Line, live: str, coming: LatestPointer
) -> None:
    assert in_staging.release(coming.digest, force=True, reason="a test").succeeded
    kill(in_staging, "in the middle of apply", BACK)
    anew = Ended(
        in_staging.platform, rollback(environment="staging", reason="a test", by="Ada", return_state=True)
    )
    assert anew.succeeded, anew.message
    assert STAGING.verdicts()[:3] == ["deployed", "rolled_back", "rolled_back"]
    assert "was in force already" in in_place_of(in_staging, anew.id).message
    assert STAGING.verdicts()[:3] == ["deployed", "rolled_back", "rolled_back"]
    assert digest_that_answers() == live
    assert resume(environment="staging", return_state=True).is_completed()


def in_place_of(line: Line, run: str) -> FlowRun:
    """The rollback that is started for one that was taken for crashed, when it is over."""
    own = line.platform.own()
    own.write_settings()
    with get_client(sync_client=True) as client:
        started = client.create_flow_run_from_deployment(
            client.read_deployment_by_name(own.deployment("rollback/on-demand")).id,
            parameters={"environment": "staging", "reason": "a test"},
            idempotency_key=key_of_again(run),
        )
    return line.platform.wait(line.platform.api.flow_run(str(started.id)))


def cancel(line: Line, run: FlowRun) -> None:
    """Cancel the release, as in the UI, and wait until the run that it starts has closed its record."""
    line.platform.api.set_state(run, "CANCELLING", "a test asks for it")
    assert line.platform.wait(run).state == "CANCELLED"
    wait_until(lambda: STAGING.verdicts()[0] != "pending", PATIENCE, "no run has closed the record")


def test_a_cancelled_release_is_taken_back_at_once_and_proven_by_a_run_of_its_own(
    in_staging: Line, live: str, coming: LatestPointer, never_ready: None
) -> None:
    run = in_staging.start_release(coming.digest)
    wait_for_rollout(run)
    cancel(in_staging, run)
    assert STAGING.verdicts()[0] == "rolled_back"
    assert STAGING.history()[0].reason == "its run was cancelled"
    assert STAGING.notes().mark_of(coming.digest) is None
    assert digest_that_answers() == live


def test_a_release_that_is_cancelled_in_the_middle_of_apply_is_taken_back(
    in_staging: Line, live: str, coming: LatestPointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with applying_slowly(monkeypatch) as api_server:
        run = in_staging.start_release(coming.digest)
        wait_until(api_server.hangs.is_set, PATIENCE, "nothing is applied")
        cancel(in_staging, run)
    assert STAGING.verdicts()[0] == "rolled_back"
    assert digest_that_answers() == live


def test_a_release_that_is_cancelled_while_it_is_undone_is_undone_all_the_same(
    in_staging: Line, live: str, coming: LatestPointer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_APP__MANIFESTS", str(manifests_with(tmp_path, behaving("dies"))))
    with applying_slowly(monkeypatch, by_force=True) as api_server:
        run = in_staging.start_release(coming.digest)
        wait_until(api_server.hangs.is_set, PATIENCE, "nothing is put back")
        cancel(in_staging, run)
    assert STAGING.verdicts()[0] == "failed"
    mark = STAGING.notes().mark_of(coming.digest)
    assert mark is not None
    assert "keeps crashing" in mark.reason
    assert digest_that_answers() == live


@contextmanager
def applying_slowly(monkeypatch: pytest.MonkeyPatch, *, by_force: bool = False) -> Iterator[SlowApiServer]:
    """Runs that are started meanwhile reach staging through an API server that hangs at their first apply."""
    credentials = configuration.load().environment("staging").credentials
    assert credentials
    block = cast(Secret[str], Secret.load(credentials))
    with slow_api_server(block.get(), by_force=by_force) as found:
        name = f"slow-{worker.namespace('api-server')}"
        Secret(value=found.kubeconfig).save(name, overwrite=True)
        monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__CREDENTIALS", name)
        yield found


@pytest.mark.slow
@pytest.mark.exclusive
def test_an_api_server_that_is_gone_for_longer_than_a_release_waits_leaves_what_recover_puts_right(
    in_staging: Line, live: str, coming: LatestPointer, never_ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__ROLLOUT_TIMEOUT", "10")
    monkeypatch.setenv("SLIPWAY_RUNS__API_TIMEOUT", "2")
    monkeypatch.setenv("SLIPWAY_RUNS__API_PATIENCE", "5")
    known, ended = len(STAGING.pods()), threading.Event()

    def freeze_during_the_rollout() -> None:
        wait_until(lambda: len(STAGING.pods()) > known, PATIENCE, "the rollout has not begun")
        with without_api_server(in_staging.platform):
            ended.wait(PATIENCE * 2)

    with ThreadPoolExecutor() as pool:
        frozen = pool.submit(freeze_during_the_rollout)
        run = in_staging.release(coming.digest, force=True, reason="a test")
        ended.set()
        frozen.result()
    assert not run.succeeded
    assert isinstance(run.error, UndoFailed)
    assert STAGING.verdicts()[0] == "pending"
    assert "is undone now" in recovered(in_staging).message
    assert STAGING.verdicts()[0] == "rolled_back"
    assert digest_that_answers() == live


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


def test_a_release_waits_for_a_rollback_and_then_finds_the_environment_held(
    in_staging: Line, coming: LatestPointer
) -> None:
    assert in_staging.release().succeeded
    back = in_staging.start("rollback/on-demand", environment="staging", reason="a test", by="Ada")
    wait_until(lambda: STAGING.holder() == back.id, PATIENCE, "the rollback does not begin")
    run = in_staging.release()
    assert "is held since" in run.message
    assert in_staging.platform.wait(back).state == "COMPLETED"
    lifted = in_staging.platform.wait(in_staging.start("resume/on-demand", environment="staging"))
    assert lifted.message == "staging is no longer held."


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
