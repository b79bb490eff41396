"""Nights on a real Prefect server: runs that its own scheduler makes for a time in which nothing ran."""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.local.polling import wait_until
from deployments.local.prefect_api import PrefectApi
from flows.flow_run import AGAIN
from flows.nightly_check import MISSING, nightly_check
from tests.stand_ins.quick_night import quick_night
from tests.triggers.conftest import posted

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Night:
    """A nightly deployment of its own, at a time of the day that is `ago`; its runs are run by hand."""

    http: httpx.Client
    name: str
    deployment: str
    due: datetime

    def made(self, days: int = 1) -> list[str]:
        """The runs that the scheduler makes for the days up to now, oldest first; those there are stay."""
        end = datetime.now(UTC)
        span = {"start_time": str(end - days * DAY), "end_time": str(end), "min_runs": 50, "max_runs": 50}
        posted(self.http, f"/deployments/{self.deployment}/schedule", span)
        return [run["id"] for run in self.runs() if run["expected_start_time"] <= end.isoformat()]

    def runs(self) -> list[dict[str, Any]]:
        query = {"deployments": {"id": {"any_": [self.deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return cast(list[dict[str, Any]], posted(self.http, "/flow_runs/filter", query))

    def crash(self, run: str) -> None:
        state = {"state": {"type": "CRASHED", "name": "Crashed"}, "force": True}
        posted(self.http, f"/flow_runs/{run}/set_state", state)

    def again(self, run: str) -> str:
        """A run in place of that one, with its tags and parameters."""
        crashed = self.http.get(f"/flow_runs/{run}").json()
        body = {"tags": [*crashed["tags"], AGAIN], "parameters": crashed["parameters"]}
        return str(posted(self.http, f"/deployments/{self.deployment}/create_flow_run", body)["id"])

    def row(self) -> dict[str, str]:
        """What the table of nights says of this one."""
        table = self.http.get("/artifacts/nightly/latest").raise_for_status().json()
        rows: list[dict[str, str]] = json.loads(table["data"])
        return next(row for row in rows if row["night"] == f"{self.due:%Y-%m-%d}")

    def check(self) -> State[Any]:
        state: State[Any] = nightly_check(self.name, return_state=True)
        return state


def ended(run: str, **parameters: Any) -> tuple[str, str]:
    """Name and message of the state that the run ends with, in this process."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(uuid.UUID(run))
    state = run_flow(quick_night, flow_run=found, parameters=parameters, return_type="state")
    assert isinstance(state, State)
    return state.name or "", state.message or ""


@pytest.fixture
def night(
    prefect_server: PrefectApi, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Night]:
    """One that was due so many hours ago as the test is parametrized with, an hour ago by default."""
    due = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=getattr(request, "param", 1))
    cron = f"{due.minute} {due.hour} * * *"
    monkeypatch.setenv("SLIPWAY_TIMEZONE", "UTC")
    monkeypatch.setenv("SLIPWAY_SCHEDULE__NIGHTLY", cron)
    api = f"{prefect_server.ui_url}/api"
    with httpx.Client(base_url=api, trust_env=False) as http, temporary_settings({PREFECT_API_URL: api}):
        flow = posted(http, "/flows/", {"name": "quick-night"})
        name = f"night-{uuid.uuid4().hex[:8]}"
        wanted = {
            "name": name,
            "flow_id": flow["id"],
            "tags": ["nightly"],
            "schedules": [{"schedule": {"cron": cron, "timezone": "UTC"}, "active": True}],
        }
        made = posted(http, "/deployments/", wanted)
        yield Night(http, f"quick-night/{name}", made["id"], due)
        http.delete(f"/deployments/{made['id']}")


late = pytest.mark.parametrize("night", [5], indirect=True, ids=["due five hours ago"])


def test_after_a_downtime_the_newest_late_run_releases_alone(night: Night) -> None:
    runs = night.made(days=3)
    assert len(runs) == 3
    with ThreadPoolExecutor() as threads:
        begun = [threads.submit(copy_context().run, ended, run) for run in runs]
    told = [future.result() for future in begun]
    assert [name for name, _ in told] == ["Skipped", "Skipped", "Completed"]
    assert told[0][1] == f"No release: the run due at {night.due:%Y-%m-%d %H:%M} takes its place."
    assert night.made(days=3) == runs
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
    name, message = ended(run)
    assert name == "Skipped"
    assert message.startswith(f"No release: it was due at {night.due:%Y-%m-%d %H:%M}, 5 h")
    assert night.check().is_completed()
    assert night.row()["outcome"] == "skipped"


def test_a_run_that_is_started_anew_is_the_nights(night: Night) -> None:
    (crashed,) = night.made()
    night.crash(crashed)
    again = night.again(crashed)
    assert ended(again) == ("Completed", "staging runs abc.")
    assert night.check().is_completed()
    assert night.row()["run"].endswith(again)


def test_a_failed_night_has_its_row_and_somebody_is_told(night: Night) -> None:
    (run,) = night.made()
    assert ended(run, fails=True)[0] == "Failed"
    assert night.row() | {"run": ""} == {
        "night": f"{night.due:%Y-%m-%d}",
        "outcome": "failed",
        "why": "Release 7 was undone.",
        "run": "",
    }
    assert "has no outcome by" in (night.check().message or "")
    assert told_of(night)["why"] == "Release 7 was undone."


def test_a_night_that_nobody_ran_is_told_by_morning_with_what_why_whose_move_and_a_link(night: Night) -> None:
    (run,) = night.made()
    state = night.check()
    assert state.is_failed()
    assert "not begun: no worker has taken it up" in (state.message or "")
    payload = told_of(night)
    assert payload["what"].startswith(f"The night of {night.due:%Y-%m-%d} has no outcome by")
    assert payload["why"].startswith("no worker has taken it up")
    assert payload["move"].startswith("ops: look at worker and queues")
    assert payload["link"].endswith(run)


def told_of(night: Night) -> dict[str, str]:
    """The payload of the event about that night."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        since = str(datetime.now(UTC) - timedelta(minutes=5))
        wanted = {"event": {"name": [MISSING]}, "occurred": {"since": since}}
        answer = posted(night.http, "/events/filter", {"filter": wanted})
        found[:] = [e for e in answer["events"] if e["resource"]["prefect.resource.name"] == night.name]
        return bool(found)

    wait_until(is_there, 20, "No event came")
    payload: dict[str, str] = found[0]["payload"]
    return payload
