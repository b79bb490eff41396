"""Prefect's server with tiny deployments, automations for them, and a receiver of the notifications."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled

from deployments.prefect import automation_rules, automations
from deployments.prefect.api import POOL, PrefectApi
from deployments.prefect.automation_rules import Target
from tests.stand_ins.http_server import QuietHandler, serving
from tests.support.prefect_client import asking, talking_to
from tests.support.waiting import wait_until

PATIENCE = 60
"""Seconds: for so long a busy server makes a writer wait."""
DEPLOYED = {
    "ci/tiny": "tests.automations.tiny_flows.sleeps",
    "release/tiny": "tests.automations.tiny_flows.asks",
    "restart-crashed/on-crash": "flows.restart_crashed.restart_crashed",
    "mark-lost/on-demand": "flows.mark_lost.mark_lost",
}


@dataclass
class Receiver:
    """Takes whatever is posted to it, and is content."""

    url: str
    bodies: list[str] = field(default_factory=list)

    def about(self, run: str) -> dict[str, str]:
        """The message about it. A busy server may send it twice: it tries again what half failed."""
        found: list[str] = []

        def has_come() -> bool:
            found[:] = [body for body in self.bodies if run in body]
            return bool(found)

        wait_until(has_come, f"No notification names {run}")
        message: dict[str, str] = json.loads(found[0])
        return message


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(QuietHandler):
        def do_POST(self) -> None:
            taken.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Handler) as url:
        taken = Receiver(f"{url}/")
        yield taken


@dataclass(frozen=True)
class Operations:
    """The server's runs, and what it does about them."""

    api: PrefectApi
    client: SyncPrefectClient
    deployments: dict[str, UUID]

    def ensure(self, target: Target | None = None, lost_after: float = 3600) -> list[str]:
        return automations.apply(self.client, automation_rules.wanted(self.deployments, lost_after, target))

    def save(self, block: Block) -> Target:
        """The block under a name of its own, as a target."""
        identity = block.save(f"ops-{uuid.uuid4().hex[:8]}")
        assert isinstance(identity, UUID)
        return Target(block.get_block_type_slug(), identity)

    def start(self, deployment: str, tags: tuple[str, ...] = (), **parameters: Any) -> FlowRun:
        return self.client.create_flow_run_from_deployment(
            self.deployments[deployment], parameters=parameters, tags=tags
        )

    def planned(
        self, deployment: str, tags: tuple[str, ...] = (), *, key: str = "", **parameters: Any
    ) -> FlowRun:
        """A run that no worker takes: it is due in an hour. `key` is its idempotency key."""
        return self.client.create_flow_run_from_deployment(
            self.deployments[deployment],
            parameters=parameters,
            tags=tags,
            idempotency_key=key or None,
            state=Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=1)),
        )

    def put(self, run: FlowRun, state: str, message: str, name: str | None = None) -> None:
        """Have the run be in that state, without any worker."""
        body = {"state": {"type": state, "name": name, "message": message}, "force": True}
        with asking(self.api) as client:
            client.post(f"/flow_runs/{run.id}/set_state", json=body).raise_for_status()

    def runs(self, deployment: UUID) -> list[FlowRun]:
        """Those of the deployment."""
        wanted = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        return self.client.read_flow_runs(deployment_filter=wanted)

    def messages(self, deployment: str) -> list[str | None]:
        """What the states of its runs say."""
        return [run.state.message for run in self.runs(self.deployments[deployment]) if run.state]

    def state_of(self, run: FlowRun) -> str:
        return self.api.flow_run(str(run.id)).state

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the event feed holds of that name, newest first."""
        query = {"filter": {"event": {"name": [name]}}, "limit": 50}
        with asking(self.api) as client:
            answer = client.post("/events/filter", json=query)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["events"]
        return found


@pytest.fixture(scope="module")
def operations(prefect_server: PrefectApi) -> Iterator[Operations]:
    """With no automation of ours, and nothing of this at the end."""
    with talking_to(prefect_server), get_client(sync_client=True) as client:
        automations.apply(client, [])
        with asking(prefect_server) as http:
            ids = {name: deployed(http, name, entrypoint) for name, entrypoint in DEPLOYED.items()}
        yield Operations(prefect_server, client, ids)
        automations.apply(client, [])
        for deployment in ids.values():
            client.delete_deployment(deployment)


def deployed(http: httpx.Client, name: str, entrypoint: str) -> UUID:
    """The id of a deployment that the platform's worker takes the runs of."""
    flow = http.post("/flows/", json={"name": f"tiny-{name.partition('/')[0]}"}).raise_for_status().json()
    deployment = {
        "name": uuid.uuid4().hex[:8],
        "flow_id": flow["id"],
        "entrypoint": entrypoint,
        "work_pool_name": POOL,
        "work_queue_name": "release",
        "enforce_parameter_schema": False,
    }
    return UUID(http.post("/deployments/", json=deployment).raise_for_status().json()["id"])


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found
