"""Releases and rollbacks whose process is killed: the next run finishes or undoes them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from flows.config.load import CHECKOUT
from flows.core.build.latest import LatestPointer
from flows.core.trigger.run_labels import restart_key
from flows.hold import hold, resume
from flows.rollback import rollback
from flows.services.prefect.client import FlowRun
from flows.verify import verify
from tests.flows.conftest import Ended, Line
from tests.flows.cut_off.runs import (
    STAGING,
    digest_that_answers,
    recovered,
)
from tests.flows.environments import behaving, manifests_with
from tests.flows.killed_release import BACK


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
    ("point", "verdict"),
    [
        pytest.param("after the record", "rolled_back", marks=pytest.mark.slow),
        ("in the middle of apply", "rolled_back"),
        pytest.param("while undoing", "failed", marks=pytest.mark.slow),
    ],
)
def test_the_run_after_one_that_was_killed_undoes_its_release(
    in_staging: Line,
    live: str,
    coming: LatestPointer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    point: str,
    verdict: str,
) -> None:
    if point == "while undoing":
        monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests_with(tmp_path, behaving("dies"))))
    kill(in_staging, point, coming.digest)
    run = recovered(in_staging)
    assert run.succeeded, run.message
    assert "is undone now" in run.message
    assert STAGING.verdicts()[0] == verdict
    assert digest_that_answers() == live
    assert bool(STAGING.notes().mark_of(coming.digest)) == (verdict == "failed")


@pytest.mark.slow
def test_a_release_that_was_killed_after_its_rollout_is_finished_as_its_own_run_would_have(
    in_staging: Line, live: str, coming: LatestPointer
) -> None:
    assert hold(environment="staging", reason="a demo", by="Bob", return_state=True).is_completed()
    kill(in_staging, "during soak", coming.digest)
    verified = Ended(in_staging.platform, verify(environment="staging", return_state=True))
    assert "was left in the middle, which `recover` ends" in verified.message
    run = recovered(in_staging)
    assert run.succeeded, run.message
    assert "is finished now" in run.message
    assert "the rate before the release is not known" in run.message  # its own is no reference
    assert STAGING.verdicts()[0] == "deployed"
    assert digest_that_answers() == coming.digest
    assert STAGING.notes().mark_of(coming.digest) is None
    assert STAGING.notes().hold is None  # a person's release of something newer lifts it


@pytest.mark.slow
def test_a_rollback_that_was_killed_after_its_rollout_is_finished_and_the_environment_stays_held(
    in_staging: Line, live: str, coming: LatestPointer
) -> None:
    assert in_staging.release(coming.digest, force=True, reason="a test").succeeded
    kill(in_staging, "during soak", BACK)
    assert "is finished now" in recovered(in_staging).message
    assert STAGING.verdicts()[:2] == ["deployed", "rolled_back"]
    assert digest_that_answers() == live
    assert STAGING.notes().hold is not None
    assert resume(environment="staging", return_state=True).is_completed()


@pytest.mark.slow
def test_a_rollback_that_was_killed_is_undone_by_the_next_which_goes_back_all_the_same(
    in_staging: Line, live: str, coming: LatestPointer
) -> None:
    assert in_staging.release(coming.digest, force=True, reason="a test").succeeded
    kill(in_staging, "in the middle of apply", BACK)
    second = Ended(
        in_staging.platform, rollback(environment="staging", reason="a test", by="Ada", return_state=True)
    )
    assert second.succeeded, second.message
    assert STAGING.verdicts()[:3] == ["deployed", "rolled_back", "rolled_back"]
    assert "was in force already" in in_place_of(in_staging, second.id).message
    assert STAGING.verdicts()[:3] == ["deployed", "rolled_back", "rolled_back"]
    assert digest_that_answers() == live
    assert STAGING.notes().hold is not None
    assert resume(environment="staging", return_state=True).is_completed()


def in_place_of(line: Line, run: str) -> FlowRun:
    """The rollback that is started for one that was taken for crashed, when it is over."""
    own = line.platform.own()
    own.write_settings()
    with get_client(sync_client=True) as client:
        started = client.create_flow_run_from_deployment(
            client.read_deployment_by_name(own.deployment("rollback/on-demand")).id,
            parameters={"environment": "staging", "reason": "a test"},
            idempotency_key=restart_key(run),
        )
    return line.platform.wait(line.platform.api.flow_run(str(started.id)))
