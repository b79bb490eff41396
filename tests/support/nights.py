"""Nights on a real Prefect server: a deployment of its own, whose runs the server itself makes late."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow

from deployments.prefect.api import PrefectApi
from flows.core.trigger.run_labels import RESTARTED
from flows.nightly_check import MISSING, nightly_check
from tests.support.prefect_client import asking, talking_to
from tests.support.waiting import wait_until

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Night:
    """A nightly deployment of its own, at a time of the day that is `ago`; its runs are run by hand."""

    http: httpx.Client
    name: str
    deployment: str
    due: datetime

    @property
    def cron(self) -> str:
        return f"{self.due.minute} {self.due.hour} * * *"

    def made(self, days: int = 1) -> list[str]:
        """The runs that the scheduler makes for the days up to now, oldest first; those there are stay."""
        end = datetime.now(UTC)
        span = {"start_time": str(end - days * DAY), "end_time": str(end), "min_runs": 50, "max_runs": 50}
        self._posted(f"/deployments/{self.deployment}/schedule", span)
        return [run["id"] for run in self.runs() if run["expected_start_time"] <= end.isoformat()]

    def runs(self) -> list[dict[str, Any]]:
        query = {"deployments": {"id": {"any_": [self.deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return cast(list[dict[str, Any]], self._posted("/flow_runs/filter", query))

    def crash(self, run: str) -> None:
        state = {"state": {"type": "CRASHED", "name": "Crashed"}, "force": True}
        self._posted(f"/flow_runs/{run}/set_state", state)

    def hurry(self, run: str) -> None:
        """Have a run that waits for its time be due now."""
        details = {"scheduled_time": datetime.now(UTC).isoformat()}
        state = {"type": "SCHEDULED", "name": "Scheduled", "state_details": details}
        self._posted(f"/flow_runs/{run}/set_state", {"state": state, "force": True})

    def again(self, run: str) -> str:
        """A run in place of that one, with its tags and parameters."""
        crashed = self.http.get(f"/flow_runs/{run}").json()
        body = {"tags": [*crashed["tags"], RESTARTED], "parameters": crashed["parameters"]}
        return str(self._posted(f"/deployments/{self.deployment}/create_flow_run", body)["id"])

    def row(self) -> dict[str, str]:
        """What the table of nights says of this one."""
        table = self.http.get("/artifacts/nightly/latest").raise_for_status().json()
        rows: list[dict[str, str]] = json.loads(table["data"])
        return next(row for row in rows if row["night"] == f"{self.due:%Y-%m-%d}")

    def _posted(self, path: str, content: dict[str, Any]) -> Any:
        return self.http.post(path, json=content).raise_for_status().json()

    def check(self) -> State[Any]:
        state: State[Any] = nightly_check(self.name, return_state=True)
        return state

    def reported(self) -> dict[str, str]:
        """The payload of the event about this night."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            since = str(datetime.now(UTC) - timedelta(minutes=5))
            wanted = {"event": {"name": [MISSING]}, "occurred": {"since": since}}
            answer = self._posted("/events/filter", {"filter": wanted})
            events = answer["events"]
            found[:] = [e for e in events if e["resource"].get("prefect.resource.name") == self.name]
            return bool(found)

        wait_until(is_there, "No event came")
        payload: dict[str, str] = found[0]["payload"]
        return payload


@contextmanager
def a_night(api: PrefectApi, flow: str, hours: float, **wanted: Any) -> Iterator[Night]:
    """A nightly deployment of that flow, due so many hours ago, and the settings that say so.

    Without a work pool, no worker takes its runs: `ended` runs them in this process.
    """
    due = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=hours)
    cron = f"{due.minute} {due.hour} * * *"
    variables = {"SLIPWAY_TIMEZONE": "UTC", "SLIPWAY_SCHEDULE__NIGHTLY": cron}
    with (
        asking(api) as http,
        talking_to(api),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in variables.items():
            patch.setenv(name, value)
        name = f"night-{uuid.uuid4().hex[:8]}"
        content = {
            "name": name,
            "flow_id": http.post("/flows/", json={"name": flow}).raise_for_status().json()["id"],
            "tags": ["nightly"],
            "schedules": [{"schedule": {"cron": cron, "timezone": "UTC"}, "active": True}],
            "enforce_parameter_schema": False,
        }
        made = http.post("/deployments/", json=content | wanted).raise_for_status().json()
        yield Night(http, f"{flow}/{name}", made["id"], due)
        http.delete(f"/deployments/{made['id']}").raise_for_status()


def ended(flow: Flow[..., Any], run: str, parameters: Mapping[str, Any] | None = None) -> tuple[str, str]:
    """Name and message of the state that the run ends with, in this process."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_run(uuid.UUID(run))
    given = found.parameters | dict(parameters or {})
    state = run_flow(flow, flow_run=found, parameters=given, return_type="state")
    assert isinstance(state, State)
    return state.name or "", state.message or ""
