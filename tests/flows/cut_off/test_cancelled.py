"""Releases that are cancelled, and one that its cluster leaves alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from prefect.blocks.system import Secret

from flows.config import load as configuration
from flows.core.build.latest import LatestPointer
from flows.core.errors import UndoFailed
from flows.services.prefect.client import FlowRun
from tests.flows.conftest import Line
from tests.flows.cut_off.runs import (
    STAGING,
    digest_that_answers,
    recovered,
    wait_for_rollout,
)
from tests.flows.environments import behaving, manifests_with, without_api_server
from tests.stand_ins.slow_api_server import SlowApiServer, slow_api_server
from tests.support import worker
from tests.support.waiting import LIMIT, wait_until


def cancel(line: Line, run: FlowRun) -> None:
    """Cancel the release, as in the UI, and wait until the run that it starts has closed its record."""
    line.platform.api.set_state(run, "CANCELLING", "a test asks for it")
    assert line.platform.wait(run).state == "CANCELLED"
    wait_until(lambda: STAGING.verdicts()[0] != "pending", "no run has closed the record")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_release_that_is_cancelled_in_the_middle_of_apply_is_taken_back(
    in_staging: Line, live: str, coming: LatestPointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with applying_slowly(monkeypatch) as api_server:
        run = in_staging.start_release(coming.digest)
        wait_until(api_server.hangs.is_set, "nothing is applied")
        cancel(in_staging, run)
    assert STAGING.verdicts()[0] == "rolled_back"
    assert digest_that_answers() == live


@pytest.mark.slow
def test_a_release_that_is_cancelled_while_it_is_undone_is_undone_all_the_same(
    in_staging: Line, live: str, coming: LatestPointer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_with(tmp_path, behaving("dies"))))
    with applying_slowly(monkeypatch, by_force=True) as api_server:
        run = in_staging.start_release(coming.digest)
        wait_until(api_server.hangs.is_set, "nothing is put back")
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
        wait_until(lambda: len(STAGING.pods()) > known, "the rollout has not begun")
        with without_api_server(in_staging.platform):
            ended.wait(LIMIT)

    with ThreadPoolExecutor() as pool:
        frozen = pool.submit(freeze_during_the_rollout)
        run = in_staging.release(coming.digest, force=True, reason="a test")
        ended.set()
        frozen.result()
    assert not run.succeeded
    assert isinstance(run.error, UndoFailed)
    assert STAGING.verdicts()[0] == "pending"
    # the scheduler comes back later than the API server
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__ROLLOUT_TIMEOUT", "90")
    assert "is undone now" in recovered(in_staging).message
    assert STAGING.verdicts()[0] == "rolled_back"
    assert digest_that_answers() == live
