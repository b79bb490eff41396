"""Watching replicas of the real application: restarts and 5xx, read from what they count."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from flows.core.errors import ClusterUnavailable, ManifestsRejected, ProofFailed
from flows.core.verification.error_rate import PRIOR, UNKNOWN, Answers, Outgoing
from flows.core.verification.pods import ReleasedPods
from flows.services.verification import soak as soaking
from flows.services.verification.soak import ENOUGH, Soak
from tests.app.server import Server
from tests.services import replicas

GOOD, FAILING = "app-1", "app-2"
SECONDS = 0.6


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Server]]:
    behaviours = {GOOD: {}, FAILING: {"FAILS": "yes"}}
    with replicas.started(tmp_path_factory.mktemp("replicas"), behaviours) as servers:
        yield servers


@pytest.fixture
def read(servers: Mapping[str, Server]) -> Callable[[str], str]:
    return lambda pod: servers[pod].probe("/metrics")[1]


class Clock:
    """Time that passes between two looks alone, so that a busy machine takes none of them away."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "POLL", 0.05)
    monkeypatch.setattr(soaking, "time", Clock())


class Users:
    """Ask once, between the first look and the second; what is called at each look."""

    def __init__(self, *requests: Callable[[], object]) -> None:
        self.looks = 0
        self.requests = requests

    def __call__(self) -> None:
        self.looks += 1
        for request in self.requests if self.looks == 2 else ():
            request()


def there(
    *names: str, restarts: Mapping[str, int] | None = None, evicted: Mapping[str, str] | None = None
) -> ReleasedPods:
    """These pods, each with a container `app`, and `mesh` where a restart of it is given as "pod/mesh"."""
    counts = {tuple(f"{key}/app".split("/")[:2]): count for key, count in (restarts or {}).items()}
    return ReleasedPods(names or (GOOD, FAILING), counts, evicted or {}, "app")  # type: ignore[arg-type] # pairs


def soak(
    read: Callable[[str], str],
    users: Users,
    pods: Callable[[], ReleasedPods] = there,
    say: Callable[[str], None] = print,
    before: Outgoing = UNKNOWN,
) -> Soak:
    return soaking.soak(read, pods, SECONDS, before=before, say=say, alive=users)


def asks(server: Server, path: str, times: int) -> list[Callable[[], object]]:
    method = "POST" if path == "/score" else "GET"
    return [lambda: server.ask(method, path)] * times


def counted(requests: int, errors: int) -> str:
    """What a replica says that has answered so."""
    return (
        "# TYPE http_requests counter\n"
        f'http_requests_total{{route="/",status="200"}} {requests - errors}\n'
        f'http_requests_total{{route="/score",status="500"}} {errors}\n'
        'http_requests_total{route="/readyz",status="503"} 1000\n'
    )


class Counting:
    """Replicas that have answered (requests, errors) more at each look."""

    def __init__(self, *more: tuple[int, int], began: tuple[int, int] = (0, 0)) -> None:
        self.more = list(more)
        self.total = began

    def __call__(self, pod: str) -> str:
        said = counted(*self.total)
        requests, errors = self.more.pop(0) if len(self.more) > 1 else self.more[0]
        self.total = (self.total[0] + requests, self.total[1] + errors)
        return said


def test_enough_requests_without_errors_are_good(
    servers: Mapping[str, Server], read: Callable[[str], str]
) -> None:
    pods = there(GOOD, FAILING, restarts={GOOD: 2, FAILING: 0})
    watched = soak(read, Users(*asks(servers[GOOD], "/", ENOUGH)), lambda: pods)
    assert (watched.as_text, watched.answers, watched.restarts) == ("good", Answers(ENOUGH, 0), 0)
    assert watched.seconds >= SECONDS


def test_few_requests_are_too_few_to_tell_and_what_the_platform_asks_counts_as_none(
    servers: Mapping[str, Server], read: Callable[[str], str]
) -> None:
    few = [*asks(servers[GOOD], "/", 3), *asks(servers[FAILING], "/score", 2)]
    watched = soak(read, Users(*few, *asks(servers[GOOD], "/readyz", ENOUGH)))
    assert watched.as_text == "too few to tell"
    assert watched.answers == Answers(5, 2)
    assert "too few to tell: in 1 s 2 of 5 requests answered with 5xx" in str(watched)


def test_5xx_that_became_more_frequent_fail_the_release_before_the_time_is_up() -> None:
    users = Users()
    with pytest.raises(
        ProofFailed, match=r"more often than before: .* \(the release before 0\.1 % of"
    ) as raised:
        soak(Counting((100, 5)), users, lambda: there(GOOD), before=Outgoing(Answers(100_000, 100)))
    assert (raised.value.fault, users.looks) == ("image", 5)


def test_as_many_5xx_as_the_release_before_had_are_good() -> None:
    watched = soak(Counting((100, 2)), Users(), lambda: there(GOOD), before=Outgoing(Answers(100_000, 2000)))
    assert watched.as_text == "good"
    assert watched.answers.errors > 10


def test_without_a_release_before_a_share_of_5xx_is_tolerated_and_logged() -> None:
    watched = soak(Counting((1000, int(1000 * PRIOR))), Users(), lambda: there(GOOD))
    assert "(the rate before the release is not known; 2 % is tolerated)" in str(watched)
    with pytest.raises(ProofFailed, match="5xx more often"):
        soak(Counting((1000, 200)), Users(), lambda: there(GOOD))


def test_one_burst_of_5xx_and_those_before_are_logged_and_do_not_fail_it() -> None:
    read = Counting((100, 0), (100, 90), (100, 0), began=(500, 7))
    watched = soak(read, Users(), lambda: there(GOOD), before=Outgoing(Answers(100_000, 100)))
    assert (watched.as_text, watched.answers.errors, watched.at_start) == ("good", 90, Answers(500, 7))
    assert ", 7 before that" in str(watched)


def test_a_counter_that_begins_again_counts_from_none() -> None:
    said = iter([counted(5000, 50), counted(30, 3), counted(50, 4)])
    watched = soak(lambda _: next(said, counted(50, 4)), Users(), lambda: there(GOOD))
    assert watched.answers == Answers(50, 4)


def test_a_replica_that_came_during_the_watch_counts_from_its_start_and_one_that_went_as_read_last() -> None:
    users = Users()
    said = {GOOD: counted(100, 0), "app-3": counted(40, 2)}

    def pods() -> ReleasedPods:
        return there(GOOD) if users.looks < 3 else there("app-3")

    watched = soak(said.__getitem__, users, pods)
    assert watched.answers == Answers(40, 2)


def test_a_restart_fails_the_release_and_names_the_pod(read: Callable[[str], str]) -> None:
    users = Users()

    def pods() -> ReleasedPods:
        return there(GOOD, FAILING, restarts={GOOD: 3 + (users.looks > 2), FAILING: 0})

    with pytest.raises(ProofFailed, match=f"^{GOOD} restarted while it was watched: .* 1 restarts") as raised:
        soak(read, users, pods)
    assert (raised.value.fault, raised.value.pod) == ("image", GOOD)
    assert users.looks == 3


def test_a_restart_of_another_container_is_no_images_fault(read: Callable[[str], str]) -> None:
    users = Users()
    with pytest.raises(ProofFailed, match=f"^mesh in {GOOD}, which is not the app, restarted") as raised:
        soak(read, users, lambda: there(GOOD, restarts={f"{GOOD}/mesh": int(users.looks > 2)}))
    assert raised.value.fault == "configuration"


def test_a_pod_that_was_evicted_for_its_own_limit_fails_the_release(read: Callable[[str], str]) -> None:
    users, full = Users(), 'Usage of EmptyDir volume "tmp" exceeds the limit "512Mi"'
    with pytest.raises(ProofFailed, match=r"^app-3 was evicted \(Usage of .*\) while") as raised:
        soak(read, users, lambda: there(GOOD, evicted={"app-3": full} if users.looks > 2 else {}))
    assert raised.value.fault == "configuration"


def test_a_pod_that_came_since_has_restarted_from_none(read: Callable[[str], str]) -> None:
    users = Users()
    with pytest.raises(ProofFailed, match=r"^app-3 restarted"):
        soak(read, users, lambda: there(GOOD, restarts={GOOD: 2} | ({"app-3": 1} if users.looks > 2 else {})))


NAN, INFINITE = "http_requests_total NaN\n", "http_requests_total 1e999\n"
INFINITE_TOO = 'http_requests_total{route="/"} +Inf'


@pytest.mark.parametrize("text", ["", "<html>", "404", NAN, INFINITE, INFINITE_TOO])
def test_a_pod_without_metrics_is_logged_once_and_does_not_fail(
    read: Callable[[str], str], text: str
) -> None:
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
    assert (watched.answers.requests, watched.unread) == (ENOUGH, ())


def test_a_cluster_that_is_away_for_a_while_is_waited_for_and_logged_once(read: Callable[[str], str]) -> None:
    users, said = Users(), list[str]()

    def away_at_times() -> ReleasedPods:
        if users.looks in {1, 4, 5}:
            raise ClusterUnavailable("The API server is away.")
        return there()

    assert soak(read, users, away_at_times, said.append).seconds >= SECONDS
    assert [line for line in said if "away" in line] == [
        f"Watching waits for the cluster. {ClusterUnavailable('The API server is away.')}"
    ] * 2


def test_a_cluster_that_stays_away_ends_it(read: Callable[[str], str]) -> None:
    def away() -> ReleasedPods:
        raise ClusterUnavailable("The API server is away.")

    with pytest.raises(ClusterUnavailable):
        soaking.soak(read, away, SECONDS, say=print, alive=Users(), patience=0.2)


def test_what_the_outgoing_release_has_answered_is_counted_in_all_and_of_late(
    servers: Mapping[str, Server], read: Callable[[str], str]
) -> None:
    first = soaking.count_outgoing(read, (GOOD, FAILING), 0)
    servers[FAILING].ask("POST", "/score")
    said = iter([read(GOOD), read(FAILING), read(GOOD)])
    servers[FAILING].ask("POST", "/score")
    outgoing = soaking.count_outgoing(lambda pod: next(said, read(pod)), (GOOD, FAILING), 0)
    assert outgoing.total == first.total + Answers(2, 2)
    assert outgoing.lately == Answers(1, 1)


def test_no_time_to_watch_is_a_single_look(read: Callable[[str], str], tmp_path: Path) -> None:
    users = Users()
    watched = soaking.soak(read, there, 0, say=print, alive=users)
    assert (users.looks, watched.as_text) == (1, "too few to tell")
