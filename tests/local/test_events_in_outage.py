"""Events that reach the server while its database is away, more than it writes at a time."""

from uuid import uuid4

import pytest

from deployments.local.docker.engine import connect, find_container
from deployments.local.instance import Instance
from deployments.local.stores import database
from deployments.prefect.api import PrefectApi
from tests.support.prefect_client import asking
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.exclusive]

EVENTS = 60
"""Three times what Prefect writes at a time: each of the last forty is one more failed attempt."""

NAME = "outage.many"


def test_more_events_than_attempts_are_kept_until_the_database_is_back(
    prefect_server: PrefectApi, instance: Instance
) -> None:
    container = find_container(connect(), instance, database.ROLE)
    assert container
    with asking(prefect_server) as http:
        container.stop()
        try:
            for number in range(EVENTS):
                event = {
                    "id": str(uuid4()),
                    "event": NAME,
                    "occurred": "2026-01-01T00:00:00Z",
                    "resource": {"prefect.resource.id": f"outage.{number}"},
                }
                http.post("/events", json=[event]).raise_for_status()
        finally:
            container.start()
        query = {"event": {"name": [NAME]}, "occurred": {"since": "2025-12-31T00:00:00Z"}}

        def written() -> int:
            answer = http.post("/events/filter", json={"filter": query, "limit": 50})
            return int(answer.json()["total"]) if answer.is_success else 0

        wait_until(lambda: written() == EVENTS, f"Not all of {EVENTS} events are written")
