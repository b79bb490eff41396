"""Old flow runs go from a real server, a batch at a time."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from deployments.prefect.api import PrefectApi
from flows.ci import ci
from flows.core.errors import PrefectUnavailable
from flows.services.prefect import retention
from flows.services.prefect.retention import Spared
from tests.support.prefect_client import asking, talking_to
from tests.support.waiting import wait_until

pytestmark = pytest.mark.exclusive


class Server:
    """Its runs are of a deployment and a work pool of their own; those before `divide` are old ones."""

    def __init__(self, client: SyncPrefectClient, name: str) -> None:
        self.client = client
        self.name = f"ci/{name}"
        self._deployment = client.read_deployment_by_name(self.name).id
        self._since: datetime | None = None

    def forget(
        self, *commits: str, runs: Sequence[uuid.UUID] = (), dry_run: bool = False, **limits: int
    ) -> int:
        spared = Spared([str(run) for run in runs], commits)
        return retention.forget(
            self.name, self._since or datetime.now(UTC), spared, dry_run=dry_run, **limits
        )

    def divide(self) -> None:
        """What ends from now on is recent."""
        self._since = datetime.now(UTC)

    def run(self, state: StateType, ref: str = "HEAD") -> uuid.UUID:
        created = self.client.create_flow_run_from_deployment(
            self._deployment, parameters={"ref": ref}, state=State(type=state)
        )
        return created.id

    def another_users(self) -> uuid.UUID:
        """A run that is of none of our deployments."""
        return self.client.create_flow_run(ci, state=State(type=StateType.COMPLETED)).id

    def log(self, run: uuid.UUID) -> None:
        """One line, in that run's log."""
        self.client.create_logs(
            [LogCreate(name="test", level=20, message="A line", timestamp=datetime.now(UTC), flow_run_id=run)]
        )

    def logged(self, run: uuid.UUID) -> list[str]:
        """All that the server keeps of that log."""
        of_it = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))
        return [line.message for line in self.client.read_logs(of_it)]

    def has(self, run: uuid.UUID) -> bool:
        try:
            self.client.read_flow_run(run)
        except ObjectNotFound:
            return False
        return True


@pytest.fixture
def server(prefect_server: PrefectApi) -> Iterator[Server]:
    name = f"old-{uuid.uuid4().hex[:8]}"
    with (
        talking_to(prefect_server),
        get_client(sync_client=True) as client,
        asking(prefect_server) as http,
    ):
        http.post("/work_pools/", json={"name": name, "type": "process"}).raise_for_status()
        flow = http.post("/flows/", json={"name": "ci"}).raise_for_status().json()
        content = {"name": name, "flow_id": flow["id"], "work_pool_name": name}
        http.post("/deployments/", json={**content, "enforce_parameter_schema": False}).raise_for_status()
        yield Server(client, name)


def test_runs_that_ended_before_go_but_not_those_of_commits_that_are_wanted(server: Server) -> None:
    spared = server.run(StateType.FAILED, ref="c" * 40)
    old = [server.run(state) for state in (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED)]
    running = server.run(StateType.RUNNING)
    theirs = server.another_users()
    server.divide()
    recent = server.run(StateType.COMPLETED)

    assert server.forget("c" * 40, dry_run=True, batch=2) == 3
    assert all(server.has(run) for run in old)
    assert server.forget("c" * 40, batch=2) == 3
    assert not any(server.has(run) for run in old)
    assert all(server.has(run) for run in (spared, recent, running, theirs))
    assert server.forget("c" * 40, batch=2) == 0


def test_the_logs_of_runs_go_with_them(server: Server) -> None:
    going = server.run(StateType.COMPLETED)
    server.divide()
    staying = server.run(StateType.COMPLETED)
    for run in (going, staying):
        server.log(run)
    assert server.logged(going) == ["A line"]
    assert server.forget() == 1
    wait_until(lambda: not server.logged(going), "the log of a run that is gone is still there")
    assert server.logged(staying) == ["A line"]


def test_runs_that_something_leads_to_stay_however_old(server: Server) -> None:
    named, other = server.run(StateType.COMPLETED), server.run(StateType.COMPLETED)
    assert server.forget(runs=[named]) == 1
    assert [server.has(named), server.has(other)] == [True, False]


def test_no_more_go_at_a_time_than_a_server_bears(server: Server) -> None:
    for _ in range(2):
        server.run(StateType.COMPLETED)
    assert [server.forget(most=1) for _ in range(3)] == [1, 1, 0]


def test_a_run_that_is_over_is_kept_apart_from_one_that_is_not_and_from_what_is_no_run(
    server: Server,
) -> None:
    over = [server.run(state) for state in (StateType.COMPLETED, StateType.CRASHED, StateType.CANCELLED)]
    others = [server.run(state) for state in (StateType.RUNNING, StateType.CANCELLING, StateType.PENDING)]
    asked = [*map(str, over), *map(str, others), str(uuid.uuid4()), "local-here-0123456789ab"]
    assert retention.ended(asked) == set(map(str, over))
    assert retention.ended(["local-here-0123456789ab"]) == set()


def test_a_server_that_does_not_answer_is_an_error_of_its_own(server: Server) -> None:
    nowhere = {PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(nowhere), pytest.raises(PrefectUnavailable, match="does not answer"):
        server.forget()
