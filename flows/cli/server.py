"""Prefect's runs as the command line asks for them: started, looked at, answered and cancelled.

Plain HTTP, because importing Prefect takes longer than what is asked here.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from flows.cli.connection import Connection, connection
from flows.core.errors import PermanentError, PrefectUnavailable, SettingsError
from flows.services.prefect.client import TERMINAL, http_client
from flows.services.process.network_faults import permanent_fault, through_proxy

SHORT = 12
"""Characters at a run's id's end that people type: the beginning is the time, and alike in many."""

LISTED = 200
"""The most that Prefect lists at once; among so many recent runs a shortened id is looked for."""

WITH_API = "Set PREFECT_API_URL to the address of a Prefect server, with /api at its end."


@dataclass(frozen=True)
class Run:
    """A flow run; `state` is its state's type (COMPLETED), `state_name` what people read (Skipped)."""

    id: str
    name: str
    state: str
    state_name: str
    message: str
    link: str
    tags: tuple[str, ...]
    flow: str
    created: datetime
    started: datetime | None
    ended: datetime | None

    @property
    def short(self) -> str:
        """What people type."""
        return self.id[-SHORT:]

    @property
    def is_over(self) -> bool:
        """Whether it will not change any more."""
        return self.state in TERMINAL


@dataclass(frozen=True)
class LogLine:
    """One entry of a run's log; `logger` says which part of Prefect wrote it, on behalf of a task or not."""

    id: str
    time: datetime
    level: int
    logger: str
    message: str
    of_task: bool


class Server:
    """The server of `connection()`, or that one; closed by `with`.

    Every method raises `PrefectUnavailable` while the server is away, and `SettingsError` where it refuses.
    """

    def __init__(self, to: Connection | None = None) -> None:
        self._to = to or connection()
        is_here = urlsplit(self._to.url).hostname in {"127.0.0.1", "localhost", "::1"}
        self._http = http_client(self._to.url, self._to.auth, trust_env=not is_here)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def start(self, deployment: str, parameters: Mapping[str, object]) -> Run:
        """A new run of flow/deployment, due now."""
        found = self._ask("GET", f"/deployments/name/{deployment}")
        if found is None:
            raise SettingsError(
                f"Prefect has no deployment {deployment}.",
                "Register the deployments: `slipway up`, or elsewhere `prefect deploy --all`.",
            )
        body = {
            "parameters": dict(parameters),
            "state": {"type": "SCHEDULED"},
            "idempotency_key": str(uuid.uuid4()),
        }
        return self._run(self._demand("POST", f"/deployments/{found['id']}/create_flow_run", body))

    def run(self, identity: str) -> Run:
        """The run of that full id, as it is now."""
        return self._run(self._demand("GET", f"/flow_runs/{identity}"))

    def find(self, text: str) -> Run:
        """The run of that id, of its first or last characters, or of the address of its page."""
        wanted = text.rstrip("/").rpartition("/")[2].lower()
        if len(wanted) == 36 and (found := self._ask("GET", f"/flow_runs/{wanted}")) is not None:
            return self._run(found)
        recent = self._demand("POST", "/flow_runs/filter", _newest({}, LISTED))
        matching = [run for run in recent if wanted and run["id"].startswith(wanted)]
        matching = matching or [run for run in recent if wanted and run["id"].endswith(wanted)]
        if not matching:
            raise SettingsError(f"There is no run {text}.", "See the recent ones with `slipway runs`.")
        if len(matching) > 1:
            listed = ", ".join(run["id"] for run in matching[:5])
            raise SettingsError(f"{text} is not one run: {listed}.", "Give more of its id.")
        return self._run(matching[0])

    def recent(self, tags: Sequence[str], limit: int) -> list[Run]:
        """The newest runs that carry all these tags and are due, with their flows' names."""
        wanted = {"tags": {"all_": list(tags)}} if tags else {}
        found = self._demand("POST", "/flow_runs/filter", _newest(wanted, limit))
        flows = {run["flow_id"] for run in found}
        names = self._demand("POST", "/flows/filter", {"flows": {"id": {"any_": sorted(flows)}}})
        named = {flow["id"]: flow["name"] for flow in names}
        return [self._run(run, named.get(run["flow_id"], "")) for run in found]

    def lines(self, run: Run, since: datetime | None = None) -> list[LogLine]:
        """What the run logged, since that time if it is given, in order."""
        wanted: dict[str, Any] = {"flow_run_id": {"any_": [run.id]}}
        if since is not None:
            wanted["timestamp"] = {"after_": since.isoformat()}
        lines: list[LogLine] = []
        while True:
            query = {"logs": wanted, "sort": "TIMESTAMP_ASC", "offset": len(lines), "limit": LISTED}
            page = [_line(found) for found in self._demand("POST", "/logs/filter", query)]
            lines += page
            if len(page) < LISTED:
                return lines

    def answer(self, run: Run, content: Mapping[str, object]) -> None:
        """Fill in the form of a paused run, as its page does; `PermanentError` where it waits for none."""
        result = self._demand("POST", f"/flow_runs/{run.id}/resume", {"run_input": dict(content)})
        if result["status"] != "ACCEPT":
            now = self.run(run.id)
            raise PermanentError(
                f"Run {run.short} ({run.name}) waits for no approval: it is {now.state_name}.",
                "See the runs that do with `slipway runs`.",
            )

    def cancel(self, run: Run, reason: str) -> Run:
        """The run, on its way to its end; one that has ended stays as it is."""
        state = {"type": "CANCELLING", "name": "Cancelling", "message": reason}
        self._demand("POST", f"/flow_runs/{run.id}/set_state", {"state": state})
        return self.run(run.id)

    def _demand(self, method: str, path: str, body: object = None) -> Any:
        answer = self._ask(method, path, body)
        if answer is None:
            raise SettingsError(f"{path} does not exist on Prefect's API at {self._to.url} (404).", WITH_API)
        return answer

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer; None where there is no such thing."""
        try:
            answer = self._http.request(method, path, json=body)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            url = self._to.url
            if fault := permanent_fault(f"Prefect's server at {url}", url, error):
                raise fault from error
            raise PrefectUnavailable(
                f"Prefect's server at {url} does not answer{through_proxy(url)} ({type(error).__name__}).",
                "Check that it is running (`slipway status`) and that PREFECT_API_URL points to it.",
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise SettingsError(
                f"Prefect's server at {self._to.url} rejected the credentials ({answer.status_code}).",
                "Set PREFECT_API_AUTH_STRING to the server's value, user:password.",
            )
        if answer.status_code >= 500 or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise PrefectUnavailable(
                f"Prefect's server answers {answer.status_code}.", "Read its log, then try again."
            )
        if answer.status_code == httpx.codes.METHOD_NOT_ALLOWED:
            raise self._no_api(f"{path} takes no {method} (405)")
        if not answer.is_success:
            raise SettingsError(
                f"Prefect's server answers {answer.status_code} to {path}: {answer.text[:300]}.",
                "Correct what its answer names.",
            )
        try:
            return answer.json()
        except ValueError as error:  # outside of its API, Prefect's server gives the UI's page
            raise self._no_api(f"{path} gives no JSON") from error

    def _no_api(self, reason: str) -> SettingsError:
        return SettingsError(
            f"{self._to.url} is not the address of Prefect's API: {reason}.",
            WITH_API,
        )

    def _run(self, found: Mapping[str, Any], flow: str = "") -> Run:
        state = found["state"] or {"type": "SCHEDULED", "name": "Scheduled", "message": ""}
        return Run(
            id=found["id"],
            name=found["name"],
            state=state["type"],
            state_name=state["name"],
            message=state["message"] or "",
            link=f"{self._to.ui_url}/runs/flow-run/{found['id']}",
            tags=tuple(found["tags"]),
            flow=flow,
            created=datetime.fromisoformat(found["created"]),
            started=_time(found["start_time"]),
            ended=_time(found["end_time"]),
        )


def _newest(wanted: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The query for runs, without those that the clock will start later."""
    due = {"expected_start_time": {"before_": (datetime.now(UTC) + timedelta(minutes=1)).isoformat()}}
    return {"flow_runs": {**wanted, **due}, "sort": "EXPECTED_START_TIME_DESC", "limit": limit}


def _line(found: Mapping[str, Any]) -> LogLine:
    time = datetime.fromisoformat(found["timestamp"])
    return LogLine(
        found["id"], time, found["level"], found["name"], found["message"], bool(found["task_run_id"])
    )


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
