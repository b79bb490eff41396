"""Old flow runs go from a real server, a batch at a time."""

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound

from deployments.local.instance import Instance
from deployments.local.prefect_api import PrefectApi
from flows import old_runs
from flows.ci import ci
from tests.prefect_client import talking_to

LONG_AGO = datetime.now(UTC) - timedelta(days=4000)
"""Nothing else on the server ended then."""


class Server:
    """Runs on it end when a test says so; only the database can be told a time that is past."""

    def __init__(self, client: SyncPrefectClient, instance: Instance) -> None:
        self.client = client
        self._database = instance.state / "prefect" / "prefect.db"

    def run(self, state: StateType, ended: datetime = LONG_AGO, ref: str = "HEAD") -> uuid.UUID:
        created = self.client.create_flow_run(ci, parameters={"ref": ref}, state=State(type=state))
        with closing(sqlite3.connect(self._database, timeout=30)) as database, database:
            text = ended.strftime("%Y-%m-%d %H:%M:%S.%f")
            database.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", (text, str(created.id)))
        return created.id

    def has(self, run: uuid.UUID) -> bool:
        try:
            self.client.read_flow_run(run)
        except ObjectNotFound:
            return False
        return True


@pytest.fixture
def server(prefect_server: PrefectApi, instance: Instance) -> Iterator[Server]:
    with (
        talking_to(prefect_server),
        get_client(sync_client=True) as client,
    ):
        yield Server(client, instance)


def test_runs_that_ended_long_ago_go_but_not_those_of_commits_that_are_wanted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_runs, "BATCH", 2)
    spared = server.run(StateType.FAILED, ref="c" * 40)
    old = [server.run(state) for state in (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED)]
    recent = server.run(StateType.COMPLETED, datetime.now(UTC))
    running = server.run(StateType.RUNNING)
    before = LONG_AGO + timedelta(days=1)

    assert old_runs.forget(before, {"c" * 40}, dry_run=True) == 3
    assert all(server.has(run) for run in old)
    assert old_runs.forget(before, {"c" * 40}, dry_run=False) == 3
    assert not any(server.has(run) for run in old)
    assert all(server.has(run) for run in (spared, recent, running))
    assert old_runs.forget(before, {"c" * 40}, dry_run=False) == 0


def test_no_more_go_at_a_time_than_a_server_bears(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    before = LONG_AGO + timedelta(days=1)
    old_runs.forget(before, (), dry_run=False)
    monkeypatch.setattr(old_runs, "MOST", 1)
    for _ in range(2):
        server.run(StateType.COMPLETED)
    assert [old_runs.forget(before, (), dry_run=False) for _ in range(3)] == [1, 1, 0]
