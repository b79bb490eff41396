"""Prefect's REST interface, as far as triggers need it: start a run once, look at it, cancel it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import httpx
from prefect.settings import get_current_settings

from flows.core.errors import PrefectUnavailable, SettingsError, SlipwayError
from flows.core.trigger.run_labels import with_reason
from flows.services.prefect.client import FlowRun, flow_run, http_client
from flows.services.process.network_faults import permanent_fault, through_proxy

ACTIVE = ("SCHEDULED", "PENDING", "RUNNING")
PUSHING = "push image"
"""The stage after whose start a run is no longer cancelled for a newer commit."""

PAGE = 200
"""Runs in one answer; Prefect's server gives no more."""


class FlowRuns:
    """The runs of one server, that of PREFECT_API_URL, for any number of threads; closed by `with`.

    Every method raises `PrefectUnavailable` while the server is away, and `SettingsError` where it refuses.
    """

    def __init__(self) -> None:
        settings = get_current_settings()
        if settings.api.url is None:
            raise SettingsError("PREFECT_API_URL is not set.", "Set it to the address of Prefect's server.")
        secret = settings.api.auth_string
        self._deployments: dict[str, dict[str, Any]] = {}
        self._ui = str(settings.ui_url or settings.api.url.removesuffix("/api"))
        self._http = http_client(settings.api.url, secret.get_secret_value() if secret else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def link(self, run: str) -> str:
        """The address of the run's page."""
        return f"{self._ui}/runs/flow-run/{run}"

    def create(
        self, deployment: str, key: str, parameters: Mapping[str, object], tags: Sequence[str], name: str
    ) -> tuple[FlowRun, bool]:
        """The run of flow/deployment with that idempotency key, and whether there was none before."""
        found = self._deployment(deployment)
        body = {
            "parameters": dict(parameters),
            "name": name,
            "tags": [*found["tags"], *tags],
            "idempotency_key": key,
            "state": {"type": "SCHEDULED"},
        }
        try:
            answer = self._ask("POST", f"/deployments/{found['id']}/create_flow_run", body)
        except SettingsError:  # it may have been registered again since, with another id
            self._deployments.pop(deployment, None)
            raise
        return flow_run(answer.json()), answer.status_code == httpx.codes.CREATED

    def with_key(self, key: str) -> FlowRun | None:
        """The run with that idempotency key, if there is one."""
        query = {"flow_runs": {"idempotency_key": {"any_": [key]}}}
        found = self._ask("POST", "/flow_runs/filter", query).json()
        return flow_run(found[0]) if found else None

    def _deployment(self, name: str) -> dict[str, Any]:
        """The deployment as registered. It is asked for once: a burst of deliveries is for the same one."""
        if name not in self._deployments:
            self._deployments[name] = self._ask("GET", f"/deployments/name/{name}").json()
        return self._deployments[name]

    def with_tags(self, *tags: str, states: Sequence[str] = (), deployment: str = "") -> list[FlowRun]:
        """The runs that carry all these tags and are in one of these states (none: in any), oldest first.

        Those of flow/deployment alone, if that is given: a server may have runs of other projects.
        """
        wanted: dict[str, Any] = {"tags": {"all_": list(tags)}}
        if states:
            wanted["state"] = {"type": {"any_": list(states)}}
        of = _of(deployment) if deployment else {}
        query = of | {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_ASC"}
        return self._all_runs(query)

    def next_scheduled(self, deployment: str) -> FlowRun | None:
        """The run of flow/deployment that the clock will start next; None where its schedule is paused."""
        query = _of(deployment) | {
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        found = self._ask("POST", "/flow_runs/filter", query).json()
        return next((flow_run(run) for run in found if run["auto_scheduled"]), None)

    def taken(self, deployment: str) -> list[FlowRun]:
        """The runs of that deployment's work pool that a worker has taken, and no process has begun.

        Some of them were cancelled since: a process that starts meanwhile ends, and leaves them CANCELLING.
        """
        pool = self._deployment(deployment)["work_pool_name"]
        if pool is None:
            return []
        query = {
            "work_pools": {"name": {"any_": [pool]}},
            "flow_runs": {"state": {"type": {"any_": ["PENDING", "CANCELLING"]}}},
        }
        found = self._all_runs(query)
        return [run for run in found if run.state == "PENDING" or not run.begun]

    def crash(self, run: FlowRun, reason: str) -> None:
        """Mark a run as crashed, which says why."""
        state = {"type": "CRASHED", "name": "Crashed", "message": reason}
        self._ask("POST", f"/flow_runs/{run.id}/set_state", {"state": state})

    def end_cancelled(self, run: FlowRun) -> None:
        """Mark a run as cancelled that was being cancelled, for the reason that it has."""
        self._propose(run, {"type": "CANCELLED", "name": "Cancelled", "message": run.message})

    def has_pushed(self, run: FlowRun) -> bool:
        """Whether its image is in the registry, or on the way there."""
        query = {
            "flow_runs": {"id": {"any_": [run.id]}},
            "task_runs": {"name": {"like_": PUSHING}},
        }
        return bool(self._ask("POST", "/task_runs/filter", query).json())

    def cancel(self, run: FlowRun, reason: str, tag: str) -> None:
        """End the run, tag it, and add the reason to its name: the worker overwrites the state's message.

        A run that has ended meanwhile stays as it is. The tag comes first: a run that had not begun may be
        cancelled without the reason. One that has begun may drop the tag, as it writes its own: `has_said`.
        """
        path = f"/flow_runs/{run.id}"
        self._ask("PATCH", path, {"tags": [*self._read(run).tags, tag]})
        state = self._propose(run, {"type": "CANCELLING", "name": "Cancelling", "message": reason})
        if state is None:
            found = self._read(run)
            if found.state != "CANCELLED":  # as another look may have done
                self._ask("PATCH", path, {"tags": [one for one in found.tags if one != tag]})
            return
        if state == "CANCELLED":  # it had not begun, and Prefect gave it a state without the message
            self._propose(run, {"type": "CANCELLED", "name": "Cancelled", "message": reason})
        self._ask("PATCH", path, {"name": with_reason(run.name, reason)})

    def has_said(self, run: FlowRun, beginning: str) -> bool:
        """Whether any of the states that the run went through has a message that begins so.

        Prefect never changes a state that it has written; a run's tags and name may change.
        """
        states = self._ask("GET", f"/flow_run_states/?flow_run_id={run.id}").json()
        return any(str(state["message"] or "").startswith(beginning) for state in states)

    def _all_runs(self, query: Mapping[str, Any]) -> list[FlowRun]:
        """Those that the query finds, in its order; one answer holds no more than a page of them."""
        found: list[FlowRun] = []
        while True:
            page = dict(query) | {"limit": PAGE, "offset": len(found)}
            runs = self._ask("POST", "/flow_runs/filter", page).json()
            found += [flow_run(run) for run in runs]
            if len(runs) < PAGE:
                return found

    def _read(self, run: FlowRun) -> FlowRun:
        """The run as it is now."""
        return flow_run(self._ask("GET", f"/flow_runs/{run.id}").json())

    def _propose(self, run: FlowRun, state: Mapping[str, str]) -> str | None:
        """The type of the state that the run gets, which may be another; None where it keeps its own."""
        answer = self._ask("POST", f"/flow_runs/{run.id}/set_state", {"state": dict(state)}).json()
        return None if answer["status"] == "ABORT" else str(answer["state"]["type"])

    def _ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        return _accepted(self._answer(method, path, body), path)

    def _find(self, path: str) -> dict[str, Any] | None:
        """What is at that path; None where there is nothing."""
        answer = self._answer("GET", path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        found: dict[str, Any] = _accepted(answer, path).json()
        return found

    def _answer(self, method: str, path: str, body: object = None) -> httpx.Response:
        with translated_prefect_errors():
            answer = self._http.request(method, path, json=body)
        if answer.status_code >= 500 or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise PrefectUnavailable(
                f"Prefect's server answers {answer.status_code}.", "Check the server's log and load."
            )
        return answer


@contextmanager
def translated_prefect_errors() -> Iterator[None]:
    """Around Prefect's client or ours: `PrefectUnavailable` or `SettingsError` for what goes wrong."""
    try:
        yield
    except httpx.TransportError as error:
        raise _lost(error) from error
    except httpx.HTTPStatusError as error:
        if error.response.status_code >= 500:
            raise PrefectUnavailable(f"Prefect's server answers {error.response.status_code}.") from error
        raise _refusal(error.response, error.request.url.path) from error
    except RuntimeError as error:  # Prefect's client, whose first question was not answered
        if not isinstance(error.__cause__, httpx.TransportError):
            raise
        raise _lost(error.__cause__) from error


def _lost(error: httpx.TransportError) -> SlipwayError:
    url = get_current_settings().api.url or ""
    return permanent_fault("Prefect's server", url, error) or PrefectUnavailable(
        f"Prefect's server does not answer{through_proxy(url)} ({type(error).__name__}).",
        "Check that the server is running and that PREFECT_API_URL points to it.",
    )


def _of(deployment: str) -> dict[str, Any]:
    """The filter for the runs of flow/deployment."""
    flow, _, name = deployment.partition("/")
    return {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [name]}}}


def _accepted(answer: httpx.Response, path: str) -> httpx.Response:
    """The answer, which is JSON; `SettingsError` for any other."""
    if not answer.is_success:
        raise _refusal(answer, path)
    try:
        _ = answer.content and answer.json()  # a change is answered with nothing
    except ValueError as error:
        raise SettingsError(
            f"{answer.url} answers with a page, as no Prefect server does.",
            "Correct PREFECT_API_URL, or sign in at the proxy that answers in the server's place.",
        ) from error
    return answer


def _refusal(answer: httpx.Response, path: str) -> SettingsError:
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return SettingsError(
            "Prefect rejected the credentials (401).", "Set PREFECT_API_AUTH_STRING to the server's value."
        )
    if answer.status_code == httpx.codes.NOT_FOUND:
        return SettingsError(
            f"{path} does not exist on the Prefect API (404).",
            "Register the deployments: prefect deploy --all",
        )
    return SettingsError(
        f"Prefect's server answers {answer.status_code} to {path}: {answer.text[:300]}.",
        "Correct what its answer names.",
    )
