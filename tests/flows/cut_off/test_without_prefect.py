"""Releases whose worker, or whose Prefect server, is gone in the middle.

The last of all: where a process has seen a server die, Prefect's client takes a minute to end a flow.
"""

import psutil
import pytest

from deployments.local import supervision
from deployments.local.prefect.server import SERVER, WORKER
from flows.core.build.latest import LatestPointer
from tests.flows.conftest import Line
from tests.flows.cut_off.runs import (
    STAGING,
    digest_that_answers,
    processes_of,
    wait_for_rollout,
)
from tests.support.waiting import LIMIT, wait_until

pytestmark = [pytest.mark.exclusive, pytest.mark.slow]


def test_a_worker_that_was_killed_with_its_run_leaves_what_the_next_release_puts_right(
    in_staging: Line, live: str, coming: LatestPointer, never_ready: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = in_staging.start_release(coming.digest)
    wait_for_rollout(run)
    worker = next(p for p in supervision.states(in_staging.platform.instance) if p.name == WORKER)
    for process in [psutil.Process(worker.pid), *processes_of(run)]:
        process.kill()
    repository = "SLIPWAY_MANIFESTS__REPOSITORY"
    monkeypatch.setenv(repository, in_staging.environment[repository])
    after = in_staging.release(coming.digest, force=True, reason="a test")
    assert after.succeeded, after.message
    assert STAGING.verdicts()[:2] == ["deployed", "rolled_back"]
    assert digest_that_answers() == coming.digest
    in_staging.platform.api.set_state(run, "CRASHED", "a test has killed it")


def test_a_prefect_server_that_dies_leaves_no_release_in_the_middle(
    in_staging: Line, live: str, coming: LatestPointer, never_ready: None
) -> None:
    run = in_staging.start_release(coming.digest)
    wait_for_rollout(run)
    [process] = processes_of(run)
    server = next(p for p in supervision.states(in_staging.platform.instance) if p.name == SERVER)
    psutil.Process(server.pid).kill()
    wait_until(in_staging.platform.api.is_healthy, "the server was not started again")
    process.terminate()  # as the worker ends what it can't watch any more
    process.wait(LIMIT)
    after = in_staging.platform.wait(in_staging.start("recover/on-demand", environment="staging"))
    assert after.state == "COMPLETED", (
        after.message
    )  # the run may have put it back, and had it proven, itself
    assert STAGING.verdicts()[0] == "rolled_back"
    assert digest_that_answers() == live
    in_staging.platform.api.set_state(run, "CRASHED", "a test has ended it")
