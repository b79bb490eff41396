"""What becomes of runs, of events and of the server while its database is away."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from docker.models.containers import Container

from deployments.local import supervision
from deployments.local.docker.engine import connect, find_container
from deployments.local.instance import Instance
from deployments.local.prefect.server import SERVER
from deployments.local.stores import database
from deployments.prefect.api import PrefectApi
from flows.services.prefect.client import FlowRun
from tests.automations.conftest import deployed
from tests.support.prefect_client import asking
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.exclusive]

SECONDS = 10
"""How long the run sleeps, in the middle of which the database goes."""


@pytest.fixture
def container(prefect_server: PrefectApi, instance: Instance) -> Iterator[Container]:
    """The database's; it runs again at the end."""
    found = find_container(connect(), instance, database.ROLE)
    assert found
    yield found
    found.start()
    wait_until(lambda: is_written_to(prefect_server), "The server does not write")


def restart(container: Container) -> None:
    container.restart()


def kill(container: Container) -> None:
    container.exec_run(["sh", "-c", "kill -QUIT 1"])


def stop_for_a_while(container: Container) -> None:
    container.stop()
    wait_until(lambda: _status(container) == "exited", "The database did not stop")
    container.start()


@pytest.mark.parametrize("happens", [restart, kill, stop_for_a_while])
def test_a_run_goes_on_and_the_server_comes_back_by_itself(
    prefect_server: PrefectApi,
    instance: Instance,
    container: Container,
    happens: Callable[[Container], None],
) -> None:
    run = started(prefect_server)
    wait_until(lambda: prefect_server.flow_run(run.id).state == "RUNNING", "The run does not begin")
    happens(container)
    wait_until(lambda: is_written_to(prefect_server), "The server does not write")
    assert supervision.is_up(instance, SERVER)
    wait_until(lambda: prefect_server.flow_run(run.id).is_over, "The run does not end")
    ended = prefect_server.flow_run(run.id)
    assert (ended.state, ended.begun) == ("COMPLETED", 1)


def test_no_event_is_lost_while_the_server_lives(prefect_server: PrefectApi, container: Container) -> None:
    container.stop()
    wait_until(lambda: _status(container) == "exited", "The database did not stop")
    resource = {"prefect.resource.id": "outage.test"}
    event: dict[str, Any] = {"event": "outage.test", "resource": resource}
    events = [
        event | {"id": f"00000000-0000-4000-8000-0000000000{n:02}", "occurred": "2026-01-01T00:00:00Z"}
        for n in range(20)
    ]
    with asking(prefect_server) as http:
        http.post("/events", json=events).raise_for_status()
        container.start()
        wanted = {
            "filter": {"event": {"name": ["outage.test"]}, "occurred": {"since": "2025-12-31T00:00:00Z"}}
        }
        wait_until(lambda: _count(http.post("/events/filter", json=wanted)) == 20, "Events are missing")


def started(api: PrefectApi) -> FlowRun:
    with asking(api) as http:
        deployment = deployed(http, "ci/outage", "tests.automations.tiny_flows.sleeps")
        body = {"parameters": {"seconds": SECONDS}, "state": {"type": "SCHEDULED"}}
        found = http.post(f"/deployments/{deployment}/create_flow_run", json=body).raise_for_status()
    return api.flow_run(found.json()["id"])


def is_written_to(api: PrefectApi) -> bool:
    with asking(api) as http:
        return http.post("/flows/", json={"name": f"outage-{uuid4().hex[:8]}"}).is_success


def _count(answer: Any) -> int:
    return len(answer.json()["events"]) if answer.is_success else 0


def _status(container: Container) -> str:
    container.reload()
    return str(container.status)
