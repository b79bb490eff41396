"""Late, missed, crashed and failed nights, as a real server's scheduler and a real worker leave them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import psutil
import pytest

from deployments.local import supervision
from deployments.local.instance import Instance
from deployments.local.prefect.server import SERVER, WORKER
from deployments.prefect.api import POOL, PrefectApi
from flows.core.errors import ReleaseUndone
from flows.nightly_check import nightly_check
from flows.services.prefect.api import FlowRuns
from flows.services.prefect.client import TERMINAL
from flows.triggers.stuck_pending import PendingReaper
from tests.stand_ins.quick_night import quick_night
from tests.support.nights import Night, a_night, ended
from tests.support.waiting import wait_until

pytestmark = pytest.mark.exclusive

UNDONE = f"Release 7 was undone. {ReleaseUndone.advice}"


@pytest.fixture
def night(prefect_server: PrefectApi, request: pytest.FixtureRequest) -> Iterator[Night]:
    """One that was due an hour ago, or so many as the test is parametrized with."""
    with a_night(prefect_server, "quick-night", getattr(request, "param", 1)) as made:
        yield made


late = pytest.mark.parametrize("night", [5], indirect=True, ids=["due five hours ago"])


def test_after_a_downtime_the_newest_late_run_releases_alone(night: Night) -> None:
    runs = night.made(days=3)
    assert len(runs) == 3
    with ThreadPoolExecutor() as threads:
        begun = [threads.submit(copy_context().run, ended, quick_night, run) for run in runs]
    states = [future.result() for future in begun]
    assert [name for name, _ in states] == ["Skipped", "Skipped", "Completed"]
    assert states[0][1] == f"No release: the run due at {night.due:%Y-%m-%d %H:%M} takes its place."
    assert night.made(days=3) == runs  # a clock that is put back makes no second run of a night either
    state = night.check()
    assert (state.name, state.message) == (
        "Completed",
        f"The night of {night.due:%Y-%m-%d}: released: staging runs abc.",
    )
    assert night.row()["outcome"] == "released"
    assert night.row()["run"].endswith(runs[-1])


@late
def test_what_was_missed_for_too_long_waits_for_the_next_night_and_says_so(night: Night) -> None:
    (run,) = night.made()
    name, message = ended(quick_night, run)
    assert name == "Skipped"
    assert message.startswith(f"No release: it was due at {night.due:%Y-%m-%d %H:%M}, 5 h")
    assert night.check().is_completed()
    assert night.row()["outcome"] == "skipped"


def test_a_run_that_is_restarted_is_the_nights(night: Night) -> None:
    (crashed,) = night.made()
    night.crash(crashed)
    again = night.again(crashed)
    assert ended(quick_night, again) == ("Completed", "staging runs abc.")
    assert night.check().is_completed()
    assert night.row()["run"].endswith(again)


def test_a_failed_night_has_its_row_and_is_reported(night: Night) -> None:
    (run,) = night.made()
    assert ended(quick_night, run, {"fails": True})[0] == "Failed"
    assert night.row() | {"run": ""} == {
        "night": f"{night.due:%Y-%m-%d}",
        "outcome": "failed",
        "why": UNDONE,
        "run": "",
    }
    assert "has no outcome by" in (night.check().message or "")
    assert night.reported()["why"] == f"{UNDONE} See docs/operations.md#release-undone"


def test_a_night_that_did_not_run_is_reported_by_morning_with_what_why_whose_move_and_a_link(
    night: Night,
) -> None:
    (run,) = night.made()
    state = night.check()
    assert state.is_failed()
    assert "not begun: no worker has taken it up" in (state.message or "")
    payload = night.reported()
    assert payload["what"].startswith(f"The night of {night.due:%Y-%m-%d} has no outcome by")
    assert payload["why"].startswith("no worker has taken it up")
    assert payload["move"].startswith("ops: look at worker and queues")
    assert payload["link"].endswith(run)


def test_a_check_after_a_downtime_waits_for_the_run_that_catches_up(
    night: Night, prefect_server: PrefectApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = night.made()
    parameters = {"deployment": night.name}
    with a_night(prefect_server, "nightly-check", 0.5, parameters=parameters) as check:
        monkeypatch.setenv("SLIPWAY_SCHEDULE__NIGHTLY", night.cron)
        monkeypatch.setenv("SLIPWAY_SCHEDULE__NIGHTLY_BY", check.cron)
        (first,) = check.made()
        name, message = ended(nightly_check, first)
        assert (name, "is being caught up (not begun" in message) == ("Postponed", True)
        (later,) = [one for one in check.runs() if one["id"] != first and not one["auto_scheduled"]]
        assert (later["state"]["type"], later["parameters"]) == ("SCHEDULED", parameters)
        assert ended(quick_night, run)[0] == "Completed"
        check.hurry(later["id"])
        assert ended(nightly_check, later["id"]) == (
            "Completed",
            f"The night of {night.due:%Y-%m-%d}: released: staging runs abc.",
        )


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_takes_the_nights_run_leaves_one_release(
    prefect_server: PrefectApi, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the run's process was there already, came up half, or never began."""
    flow = {"work_pool_name": POOL, "work_queue_name": "release", "pull_steps": []}
    flow["entrypoint"] = "tests.stand_ins.quick_night.quick_night"
    with a_night(prefect_server, "quick-night", 1, **flow) as night:
        not_begun = PendingReaper(print)
        worker = next(state.pid for state in supervision.states(instance) if state.name == WORKER)
        (run,) = night.made()
        wait_until(lambda: prefect_server.flow_run(run).state != "SCHEDULED", "No worker takes it")
        psutil.Process(worker).kill()

        def is_over() -> bool:
            with FlowRuns() as runs:
                not_begun.give_up(runs, night.name, patience=5)
            return prefect_server.flow_run(run).state in TERMINAL

        wait_until(is_over, "The run neither ends nor is given up")
        if prefect_server.flow_run(run).state == "CRASHED":
            again = night.again(run)
            wait_until(lambda: prefect_server.flow_run(again).state in TERMINAL, "It is not restarted")
        assert [one["state"]["name"] for one in night.runs() if one["state"]["type"] == "COMPLETED"] == [
            "Completed"
        ]
        assert night.check().is_completed()


@pytest.mark.slow
def test_a_server_that_is_killed_when_the_night_is_due_leaves_one_release(
    prefect_server: PrefectApi, instance: Instance
) -> None:
    """Whether a worker had the run by then or not."""
    flow = {"work_pool_name": POOL, "work_queue_name": "release", "pull_steps": []}
    flow["entrypoint"] = "tests.stand_ins.quick_night.quick_night"
    with a_night(prefect_server, "quick-night", 1, **flow) as night:
        (run,) = night.made()
        psutil.Process(next(one.pid for one in supervision.states(instance) if one.name == SERVER)).kill()
        port = instance.ports.prefect_port
        wait_until(
            lambda: supervision.listens(instance, SERVER, port) and prefect_server.is_healthy(),
            "The server did not come back",
        )
        wait_until(lambda: prefect_server.flow_run(run).state in TERMINAL, "The run does not end")
        ends = [one["state"]["name"] for one in night.runs() if one["state"]["type"] in TERMINAL]
        assert ends == ["Completed"]
        assert night.check().is_completed()
