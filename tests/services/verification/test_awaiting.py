"""What a release creates before its users can reach it: a load balancer, whose address and name come late."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.core.errors import ClusterUnavailable, EdgeNotInOrder, FenceLost, ResolverUnavailable
from flows.services.verification import awaiting
from flows.services.verification.public_endpoint import PublicEndpoint
from tests.services.certificates import served
from tests.stand_ins.dns_server import dns_server
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.load_balancer import load_balancer

APP = "app.slipway.test"
LATE = 0.2


class Replica(JsonHandler):
    """One that answers that it is not ready: what it says does not matter."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("X-Served-By", "app-1")
        self.send_header("Content-Length", "0")
        self.end_headers()


class NoReplica(JsonHandler):
    """An edge that has no replica behind it yet."""

    def do_GET(self) -> None:
        self.answer(404, {"error": "default backend"})


@pytest.fixture
def names(tmp_path: Path) -> Path:
    folder = tmp_path / "names"
    folder.mkdir()
    return folder


@pytest.fixture
def resolver(names: Path) -> Iterator[str]:
    """A DNS server that learns of the names in the files of a folder as they come."""
    with dns_server(f"--hostsdir={names}") as address:
        yield address


@pytest.fixture
def replica() -> Iterator[int]:
    with serving(Replica) as address:
        yield int(address.rpartition(":")[2])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "POLL", 0.02)


def wait(
    endpoint: PublicEndpoint,
    reported: Callable[[], tuple[str, ...]] = tuple,
    timeout: float = 30,
    *,
    replica: bool = True,
) -> list[str]:
    said: list[str] = []
    awaiting.await_endpoint(endpoint, reported, timeout, said.append, lambda: None, replica=replica)
    return said


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_new_load_balancer_is_waited_for_until_a_replica_answers_through_it(
    names: Path, resolver: str, replica: int
) -> None:
    """Service, name, connections and the way to the replicas come one after the other, as in a cloud."""
    port = free_port()
    url = f"http://{APP}:{port}"
    with ExitStack() as cloud, serving(NoReplica) as default_backend:
        balancers: list[int] = []

        def listen() -> None:
            other = int(default_backend.rpartition(":")[2])
            balancer = cloud.enter_context(load_balancer(other, port=port))
            balancers.append(balancer.port)
            routes.append(lambda: balancer.backends.__setitem__(0, replica))

        routes: list[Callable[[], None]] = []
        said: list[str] = []
        seen: set[str] = set()

        def say(line: str) -> None:
            """Each step of the cloud comes once the wait has logged what is missing."""
            said.append(line)
            for missing, step in (
                ("has no record", lambda: (names / "app").write_text(f"127.0.0.1 {APP}\n")),
                ("Connection refused", listen),
                ("No replica answers", lambda: [route() for route in routes]),
            ):
                if missing in line and missing not in seen:
                    seen.add(missing)
                    step()

        awaiting.await_endpoint(
            PublicEndpoint(url, resolver), lambda: ("127.0.0.1",), 30, say, lambda: None, replica=True
        )
    assert seen == {"has no record", "Connection refused", "No replica answers"}
    assert said[-1] == f"{url} is in order: {APP} leads to 127.0.0.1."


def test_what_never_comes_is_reported_with_how_long_it_was_waited_for(resolver: str) -> None:
    with pytest.raises(EdgeNotInOrder) as raised:
        wait(PublicEndpoint(f"http://{APP}", resolver), timeout=LATE)
    assert raised.value.happened == f"{resolver} has no record for {APP}, {LATE} s after the rollout."
    assert "raise `endpoint_timeout`" in raised.value.remedy
    assert (raised.value.finding, raised.value.fault) == ("unresolved", "infrastructure")


def test_a_name_that_still_leads_to_the_load_balancer_before_is_waited_for(
    names: Path, resolver: str, replica: int
) -> None:
    (names / "app").write_text(f"127.0.0.1 {APP}\n")
    moved = iter([("127.0.0.9",), ("127.0.0.9",)])
    said = wait(PublicEndpoint(f"http://{APP}:{replica}", resolver), lambda: next(moved, ("127.0.0.1",)))
    assert said[0] == f"{APP} leads to 127.0.0.1, but its load balancer is 127.0.0.9."
    assert "is in order" in said[-1]


def test_an_edge_that_answers_for_the_replicas_is_no_way_to_them(names: Path, resolver: str) -> None:
    (names / "app").write_text(f"127.0.0.1 {APP}\n")
    with serving(NoReplica) as address:
        endpoint = PublicEndpoint(f"http://{APP}:{address.rpartition(':')[2]}", resolver)
        with pytest.raises(EdgeNotInOrder, match=r"No replica answers at .* answered 404 itself") as raised:
            wait(endpoint, timeout=LATE)
        assert "is in order" in wait(endpoint, replica=False)[-1]  # the proof says why
    assert raised.value.finding == "unserved"


def test_a_certificate_that_is_issued_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Path, resolver: str
) -> None:
    (names / "app").write_text(f"127.0.0.1 {APP}\n")
    soon = datetime.now(UTC) + timedelta(days=1)
    with load_balancer(tls=served(tmp_path, APP, ends=soon)) as balancer:
        endpoint = PublicEndpoint(f"https://{APP}:{balancer.port}", resolver)
        with pytest.raises(EdgeNotInOrder, match="is not accepted") as raised:
            wait(endpoint, timeout=LATE, replica=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        assert "is in order" in wait(endpoint, replica=False)[-1]  # that it ends soon undoes no release
    assert raised.value.finding == "certificate"


def test_systems_that_do_not_answer_are_waited_for_and_reported_by_their_own_error(
    names: Path, resolver: str, replica: int
) -> None:
    (names / "app").write_text(f"127.0.0.1 {APP}\n")
    away = iter([ClusterUnavailable("The API server is away.")])

    def reported() -> tuple[str, ...]:
        for error in away:
            raise error
        return ("127.0.0.1",)

    said = wait(PublicEndpoint(f"http://{APP}:{replica}", resolver), reported)
    assert said[0] == "The API server is away."
    assert "is in order" in said[-1]
    with pytest.raises(ResolverUnavailable):
        wait(PublicEndpoint(f"http://{APP}", "127.0.0.1:1"), timeout=0)


def test_a_run_that_has_lost_its_lock_waits_no_longer(resolver: str) -> None:
    def lost() -> None:
        raise FenceLost("Another run has taken over.")

    with pytest.raises(FenceLost):
        awaiting.await_endpoint(
            PublicEndpoint(f"http://{APP}", resolver), tuple, 30, print, lost, replica=True
        )
