"""Watching replicas of the real application: restarts and 5xx, read from what they count."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from flows.core.errors import ClusterUnavailable, ManifestsRejected, ProofFailed
from flows.services.verification import soak as soaking
from flows.services.verification.soak import ENOUGH, Soak
from tests.app.server import Server
from tests.services import replicas

GOOD, FAILING = "app-1", "app-2"
SECONDS = 0.6


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Server]]:
    folder = tmp_path_factory.mktemp("replicas")
    started = {
        GOOD: replicas.start(folder / GOOD, GOOD),
        FAILING: replicas.start(folder / FAILING, FAILING, FAILS="yes"),
    }
    for server in started.values():
        server.wait_until(server.is_ready)
    yield started
    for server in started.values():
        server.process.kill()
        server.process.wait()


@pytest.fixture
def read(servers: Mapping[str, Server]) -> Callable[[str], str]:
    return lambda pod: servers[pod].ask("GET", "/metrics")[1].decode()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "POLL", 0.05)


class Users:
    """Ask once, between the first look and the second; what is called at each look."""

    def __init__(self, *requests: Callable[[], object]) -> None:
        self.looks = 0
        self.requests = requests

    def __call__(self) -> None:
        self.looks += 1
        for request in self.requests if self.looks == 2 else ():
            request()


def soak(
    read: Callable[[str], str],
    users: Users,
    restarts: Callable[[], Mapping[str, int]] = dict,
    say: Callable[[str], None] = print,
) -> Soak:
    return soaking.soak(read, restarts, (GOOD, FAILING), SECONDS, say=say, alive=users)


def asks(server: Server, path: str, times: int) -> list[Callable[[], object]]:
    method = "POST" if path == "/score" else "GET"
    return [lambda: server.ask(method, path)] * times


def test_enough_requests_without_errors_are_good(
    servers: Mapping[str, Server], read: Callable[[str], str]
) -> None:
    watched = soak(read, Users(*asks(servers[GOOD], "/", ENOUGH)), lambda: {GOOD: 2, FAILING: 0})
    assert (watched.as_text, watched.requests, watched.errors, watched.restarts) == ("good", ENOUGH, 0, 0)
    assert watched.seconds >= SECONDS


def test_few_requests_are_too_few_to_tell_and_what_the_platform_asks_counts_as_none(
    servers: Mapping[str, Server], read: Callable[[str], str]
) -> None:
    few = [*asks(servers[GOOD], "/", 3), *asks(servers[FAILING], "/score", 2)]
    watched = soak(read, Users(*few, *asks(servers[GOOD], "/readyz", ENOUGH)))
    assert watched.as_text == "too few to tell"
    assert (watched.requests, watched.errors) == (5, 2)
    assert "too few to tell: in 1 s 2 of 5 requests answered with 5xx" in str(watched)


def test_more_5xx_than_allowed_fail_the_release_before_the_time_is_up(
    servers: Mapping[str, Server], read: Callable[[str], str]
) -> None:
    users = Users(*asks(servers[GOOD], "/", ENOUGH), *asks(servers[FAILING], "/score", 2))
    with pytest.raises(ProofFailed, match=r"with 5xx: .* 2 of 22 requests") as raised:
        soak(read, users)
    assert raised.value.fault == "image"
    assert users.looks == 2


def test_a_single_5xx_and_those_before_are_told_and_do_not_fail_it(
    servers: Mapping[str, Server], read: Callable[[str], str]
) -> None:
    servers[FAILING].ask("POST", "/score")
    watched = soak(read, Users(*asks(servers[GOOD], "/", ENOUGH), *asks(servers[FAILING], "/score", 1)))
    assert (watched.as_text, watched.errors) == ("good", 1)
    assert watched.errors_before > 0
    assert f", {watched.errors_before} before that" in str(watched)


def test_a_restart_fails_the_release_and_names_the_pod(read: Callable[[str], str]) -> None:
    users = Users()
    with pytest.raises(ProofFailed, match=f"^{GOOD} restarted while it was watched: .* 1 restarts") as raised:
        soak(read, users, lambda: {GOOD: 3 + (users.looks > 2), FAILING: 0})
    assert raised.value.fault == "image"
    assert users.looks == 3


def test_a_pod_that_came_since_has_restarted_from_none(read: Callable[[str], str]) -> None:
    users = Users()
    with pytest.raises(ProofFailed, match=r"^app-3 restarted"):
        soak(read, users, lambda: {GOOD: 2} | ({"app-3": 1} if users.looks > 2 else {}))


@pytest.mark.parametrize("text", ["", "<html>", "404"])
def test_a_pod_without_metrics_is_told_once_and_does_not_fail(read: Callable[[str], str], text: str) -> None:
    def partly(pod: str) -> str:
        if pod == FAILING and text == "404":
            raise ManifestsRejected("404: not found.")
        return text if pod == FAILING else read(pod)

    said: list[str] = []
    watched = soak(partly, Users(), say=said.append)
    assert watched.unread == (FAILING,)
    assert f"no metrics of {FAILING}" in str(watched)
    assert len([line for line in said if f"{FAILING} has no readable metrics" in line]) == 1


def test_a_pod_that_can_not_be_read_at_times_counts_with_what_it_said_last(
    servers: Mapping[str, Server], read: Callable[[str], str]
) -> None:
    users = Users(*asks(servers[GOOD], "/", ENOUGH))

    def at_times(pod: str) -> str:
        if users.looks % 2 == 0 or users.looks > 5:
            raise ClusterUnavailable("The pod is not reached.")
        return read(pod)

    watched = soak(at_times, users)
    assert (watched.requests, watched.unread) == (ENOUGH, ())


def test_a_cluster_that_is_away_for_a_while_is_waited_for_and_told_once(read: Callable[[str], str]) -> None:
    users, said = Users(), list[str]()

    def away_at_times() -> Mapping[str, int]:
        if users.looks in {1, 4, 5}:
            raise ClusterUnavailable("The API server is away.")
        return {}

    assert soak(read, users, away_at_times, said.append).seconds >= SECONDS
    assert [line for line in said if "away" in line] == [
        f"Watching waits for the cluster. {ClusterUnavailable('The API server is away.')}"
    ] * 2


def test_a_cluster_that_stays_away_ends_it(read: Callable[[str], str]) -> None:
    def away() -> Mapping[str, int]:
        raise ClusterUnavailable("The API server is away.")

    with pytest.raises(ClusterUnavailable):
        soaking.soak(read, away, (GOOD,), SECONDS, say=print, alive=Users(), patience=0.2)


def test_no_time_to_watch_is_a_single_look(read: Callable[[str], str], tmp_path: Path) -> None:
    users = Users()
    watched = soaking.soak(read, dict, (GOOD,), 0, say=print, alive=users)
    assert (users.looks, watched.as_text) == (1, "too few to tell")
