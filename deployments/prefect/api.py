"""The Prefect server's REST interface, as far as deploying needs it."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import httpx

from flows.core.errors import PlatformFailed
from flows.services.prefect.client import FlowRun, credentials, flow_run, http_client

POOL = "slipway"
"""The work pool of prefect.yaml."""


@dataclass(frozen=True)
class LogLine:
    """One entry of a run's log: `logger` says which part of Prefect wrote it, on behalf of a task or not."""

    message: str
    logger: str
    of_task: bool


class PrefectApi:
    """Calls to one server; `PlatformFailed` when it refuses one, `httpx.TransportError` when it is away.

    `url` is where people see it, `sign_in` user:password, or None for a server that wants none. With
    `trust_env` proxies and certificates are as this shell's variables say.
    """

    def __init__(self, url: str, sign_in: str | None, *, trust_env: bool = False) -> None:
        self.ui_url = url
        self.sign_in = sign_in
        self._http = http_client(f"{url}/api", sign_in, trust_env=trust_env)

    @property
    def auth(self) -> httpx.BasicAuth | None:
        """The sign-in, for another HTTP client."""
        return credentials(self.sign_in)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def is_healthy(self) -> bool:
        """Whether it answers."""
        try:
            return self._http.get("/health", timeout=2).is_success
        except httpx.TransportError:
            return False

    def ensure_work_pool(self, base_job_template: dict[str, Any], queues: dict[str, int]) -> None:
        """The process pool with that template, and its queues with their limits."""
        pool = {"base_job_template": base_job_template}
        self._ensure(f"/work_pools/{POOL}", pool, "/work_pools/", {"name": POOL, "type": "process"})
        for queue, slots in queues.items():
            path = f"/work_pools/{POOL}/queues"
            self._ensure(f"{path}/{queue}", {"concurrency_limit": slots}, path, {"name": queue})

    def ensure_limit(self, name: str, slots: int) -> None:
        """The global concurrency limit of that name."""
        path = "/v2/concurrency_limits/"
        self._ensure(f"{path}{name}", {"limit": slots}, path, {"name": name})

    def ensure_variable(self, name: str, value: object) -> None:
        """What `{{ prefect.variables.<name> }}` stands for in prefect.yaml."""
        self._ensure(f"/variables/name/{name}", {"value": value}, "/variables/", {"name": name})

    def process_template(self) -> dict[str, Any]:
        """The job template that Prefect gives a process pool."""
        workers = self._call("GET", "/collections/views/aggregate-worker-metadata")
        template: dict[str, Any] = workers["prefect"]["process"]["default_base_job_configuration"]
        return template

    def deployment_ids(self) -> dict[str, str]:
        """Every deployment of the pool, as flow/deployment -> id."""
        found = self._call("POST", "/deployments/filter", {"work_pools": {"name": {"any_": [POOL]}}})
        flows = self._call(
            "POST", "/flows/filter", {"flows": {"id": {"any_": [d["flow_id"] for d in found]}}}
        )
        names = {flow["id"]: flow["name"] for flow in flows}
        return {f"{names[d['flow_id']]}/{d['name']}": d["id"] for d in found}

    def queue_limits(self) -> dict[str, int | None]:
        """The pool's queues, and how many runs of each go on at once."""
        queues = self._call("POST", f"/work_pools/{POOL}/queues/filter", {})
        return {q["name"]: q["concurrency_limit"] for q in queues if q["name"] != "default"}

    def scheduled_times(self, deployment: str) -> list[datetime]:
        """When the runs are due that the scheduler made for the deployment of that id."""
        query = {
            "deployments": {"id": {"any_": [deployment]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }
        runs = self._call("POST", "/flow_runs/filter", query)
        return [datetime.fromisoformat(run["expected_start_time"]) for run in runs if run["auto_scheduled"]]

    def block(self, kind: str, name: str) -> dict[str, Any] | None:
        """The values of a block, secrets included; None if there is none."""
        path = f"/block_types/slug/{kind}/block_documents/name/{name}"
        document = self._find("GET", path, params={"include_secrets": True})
        return None if document is None else dict(document["data"])

    def start(self, deployment: str, parameters: dict[str, Any]) -> FlowRun:
        """A new run of flow/deployment, due now."""
        found = self._find("GET", f"/deployments/name/{deployment}")
        if found is None:
            raise PlatformFailed(f"The server has no deployment {deployment}.", "Run: make run")
        body: dict[str, Any] = {
            "parameters": parameters,
            "state": {"type": "SCHEDULED"},
            "idempotency_key": str(uuid.uuid4()),
        }
        return flow_run(self._call("POST", f"/deployments/{found['id']}/create_flow_run", body))

    def flow_run(self, identity: str) -> FlowRun:
        """The run as it is now."""
        return flow_run(self._call("GET", f"/flow_runs/{identity}"))

    def flow_runs(self, *states: str) -> list[FlowRun]:
        """The runs of the pool that are in one of these states."""
        query = {
            "work_pools": {"name": {"any_": [POOL]}},
            "flow_runs": {"state": {"type": {"any_": states}}},
        }
        return [flow_run(found) for found in self._call("POST", "/flow_runs/filter", query)]

    def set_state(self, run: FlowRun, state: str, message: str, name: str | None = None) -> None:
        """Put the run into that state, whatever it was in; `name` is shown instead of the type."""
        body = {"state": {"type": state, "name": name, "message": message}, "force": True}
        self._call("POST", f"/flow_runs/{run.id}/set_state", body)

    def log_lines(self, run: FlowRun, skip: int) -> list[LogLine]:
        """What the run logged, in order, without the first `skip` entries."""
        query = {
            "logs": {"flow_run_id": {"any_": [run.id]}},
            "sort": "TIMESTAMP_ASC",
            "offset": skip,
        }
        found = self._call("POST", "/logs/filter", query)
        return [LogLine(line["message"], line["name"], bool(line["task_run_id"])) for line in found]

    def run_url(self, run: FlowRun) -> str:
        """Where a person sees the run."""
        return f"{self.ui_url}/runs/flow-run/{run.id}"

    def _ensure(self, path: str, content: dict[str, Any], collection: str, identity: dict[str, Any]) -> None:
        """Make the thing at `path`, or change it if it differs."""
        found = self._find("GET", path)
        if found is None:
            self._call("POST", collection, identity | content)
        elif any(found[key] != value for key, value in content.items()):
            self._call("PATCH", path, content)

    def _find(self, method: str, path: str, body: object = None, params: Any = None) -> Any:
        """The answer; None if there is no such thing."""
        answer = self._http.request(method, path, json=body, params=params)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if not answer.is_success:  # a redirect too: the path is not quite right then
            raise PlatformFailed(
                f"The Prefect server answered {answer.status_code} to {method} {path}: {answer.text[:300]}",
                "If this is 401, correct PREFECT_API_AUTH_STRING. Otherwise, read the server's log, then run "
                "this again.",
            )
        return answer.json() if answer.content else {}

    def _call(self, method: str, path: str, body: object = None) -> Any:
        answer = self._find(method, path, body)
        if answer is None:
            raise PlatformFailed(f"{path} does not exist on the Prefect API (404).")
        return answer
