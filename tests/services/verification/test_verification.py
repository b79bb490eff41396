"""The proof, of replicas of the real application behind a load balancer and a real DNS server."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from deployments.local.cluster.certificates import ensure_authority
from flows.core.errors import ClusterUnavailable, ProofFailed
from flows.core.model import manifest as manifests
from flows.core.model.manifest import ModelManifest
from flows.core.verification.pods import ReleasedPods
from flows.services.verification import probe, verification
from flows.services.verification import replicas as asking
from flows.services.verification.public_endpoint import PublicEndpoint
from flows.services.verification.verification import Latency, Proof
from tests.app.server import Server
from tests.services import replicas
from tests.services.certificates import served
from tests.services.replicas import ANOTHER, CAPSULE, MODELS
from tests.stand_ins.dns_server import dns_server
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.load_balancer import LoadBalancer, load_balancer

APP = "app.slipway.test"
PODS = ("app-1", "app-2", "app-3")
BEHAVIOURS: Mapping[str, Mapping[str, str]] = {
    "wrong": {"model": "colours"},
    "another": {"capsule": ANOTHER},
    "slow": {"SLOW": "0.3"},
    "fails": {"FAILS": "yes"},
    "crashes": {"CRASHES": "yes"},
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Server]]:
    """Three good replicas, and one of each kind that is not."""
    behaviours = {pod: BEHAVIOURS.get(pod, {}) for pod in (*PODS, *BEHAVIOURS)}
    with replicas.started(tmp_path_factory.mktemp("replicas"), behaviours) as servers:
        yield servers


@pytest.fixture(scope="module")
def resolver() -> Iterator[str]:
    with dns_server(f"--host-record={APP},127.0.0.1") as address:
        yield address


@pytest.fixture
def balancer(servers: Mapping[str, Server]) -> Iterator[LoadBalancer]:
    """One before the three good replicas."""
    with load_balancer(*(servers[pod].port for pod in PODS)) as listening:
        yield listening


@pytest.fixture
def edge(resolver: str, balancer: LoadBalancer) -> PublicEndpoint:
    return PublicEndpoint(f"http://{APP}:{balancer.port}", resolver)


@pytest.fixture(scope="module")
def digits() -> ModelManifest:
    return manifests.parse((MODELS / "digits" / "manifest.json").read_bytes(), source="digits")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "DEADLINE", 0.75)


@pytest.fixture
def no_answer_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test in which the asking ends because there is no further answer to wait for."""
    monkeypatch.setattr(asking, "DEADLINE", 0.1)


@pytest.fixture
def third(request: pytest.FixtureRequest, servers: Mapping[str, Server], balancer: LoadBalancer) -> str:
    """A replica that takes the place of the third good one."""
    pod = str(request.param)
    balancer.backends[2] = servers[pod].port
    return pod


def ready(*pods: str) -> Callable[[], Mapping[str, bool]]:
    """That these pods get requests, at each look."""
    return lambda: dict.fromkeys(pods, True)


def prove(
    edge: PublicEndpoint, manifest: ModelManifest, *pods: str, outgoing: Latency | None = None
) -> Proof:
    return proof_of(edge, manifest, ready(*(pods or PODS)), outgoing)


def proof_of(
    edge: PublicEndpoint,
    manifest: ModelManifest,
    there: Callable[[], Mapping[str, bool]],
    outgoing: Latency | None = None,
) -> Proof:
    return verification.verify_replicas(
        edge,
        there,
        CAPSULE,
        manifest,
        outgoing=outgoing,
        slower_than=3,
        say=print,
        alive=lambda: None,
    )


def test_good_replicas_are_proven_each_by_every_example(edge: PublicEndpoint, digits: ModelManifest) -> None:
    outgoing = verification.measure(edge, digits, rounds=2)
    proven = prove(edge, digits, outgoing=outgoing)
    assert proven.examples == len(digits.examples)
    assert proven.latency.requests >= len(PODS) * len(digits.examples)
    assert proven.requests >= asking.IN_A_ROW * len(PODS) + proven.latency.requests
    assert proven.outgoing == outgoing
    assert outgoing.requests == 2 * len(digits.examples)
    assert f"each of {proven.examples} examples right, in {proven.requests} requests" in str(proven)


def test_the_proof_goes_through_https_by_the_name_that_users_type(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    servers: Mapping[str, Server],
    resolver: str,
    digits: ModelManifest,
) -> None:
    ensure_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    tls = served(tmp_path, APP, ends=datetime.now(UTC) + timedelta(days=90))
    with load_balancer(servers["app-1"].port, tls=tls) as balancer:
        assert prove(PublicEndpoint(f"https://{APP}:{balancer.port}", resolver), digits, "app-1").requests
        with pytest.raises(ProofFailed, match="certificate verify failed") as raised:
            probe.version(PublicEndpoint(f"https://127.0.0.1:{balancer.port}"))
    assert raised.value.fault == "infrastructure"


def test_a_plain_url_is_an_edge_too(servers: Mapping[str, Server], digits: ModelManifest) -> None:
    edge = PublicEndpoint(f"http://127.0.0.1:{servers['app-1'].port}")
    assert probe.is_ready(edge)
    assert probe.version(edge).capsule == CAPSULE
    assert probe.check_examples(edge, digits) == len(digits.examples)


def test_an_address_of_the_load_balancer_that_does_not_answer_is_passed_over(
    servers: Mapping[str, Server], balancer: LoadBalancer, digits: ModelManifest
) -> None:
    with dns_server(f"--host-record={APP},127.0.0.1,::1", f"--host-record={APP},127.0.0.8") as address:
        edge = PublicEndpoint(f"http://{APP}:{balancer.port}", address)
        assert edge.resolve() == ("127.0.0.1", "127.0.0.8", "::1")
        assert prove(edge, digits).examples == len(digits.examples)


@pytest.mark.parametrize(
    ("third", "message"),
    [
        ("wrong", "wrong answers the model's examples wrong: "),
        ("another", "another answered with capsule ffffffffffff, but cccccccccccc was released."),
        ("fails", "fails at {url}/score answered 500"),
    ],
    indirect=["third"],
)
def test_one_wrong_replica_of_three_is_found_and_is_the_images_fault(
    edge: PublicEndpoint, digits: ModelManifest, third: str, message: str
) -> None:
    with pytest.raises(ProofFailed) as raised:
        prove(edge, digits, "app-1", "app-2", third)
    assert message.format(url=edge.url) in str(raised.value)
    assert (raised.value.fault, raised.value.pod) == ("image", third)


def test_replicas_that_crash_when_they_score_are_the_images_fault(
    monkeypatch: pytest.MonkeyPatch,
    servers: Mapping[str, Server],
    balancer: LoadBalancer,
    edge: PublicEndpoint,
    digits: ModelManifest,
) -> None:
    monkeypatch.setattr(asking, "DEADLINE", 30)  # it takes a worker that has ended a while to be there again
    balancer.backends[:] = [servers["crashes"].port]
    with pytest.raises(ProofFailed, match=r"crashes did not answer 3\.png .* broke off") as raised:
        prove(edge, digits, "crashes")
    assert raised.value.fault == "image"


def test_replicas_that_restart_when_they_are_asked_are_the_images_fault_though_no_replica_answers(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.close()
    counts = iter([1, 1])
    with pytest.raises(ProofFailed, match="app-2 restarted while it was asked") as raised:
        verification.verify_replicas(
            edge,
            ready(*PODS),
            CAPSULE,
            digits,
            outgoing=None,
            slower_than=3,
            say=print,
            alive=lambda: None,
            look=lambda: ReleasedPods(PODS, {("app-1", "app"): 1, ("app-2", "app"): next(counts, 2)}),
        )
    assert (raised.value.fault, raised.value.pod) == ("image", "app-2")


def test_an_old_replica_that_still_answers_at_first_is_waited_out(
    servers: Mapping[str, Server], balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.leaving += [servers["another"].port] * 5
    assert prove(edge, digits).requests > 5 + asking.IN_A_ROW * len(PODS)


def test_an_old_replica_that_does_not_go_away_is_no_images_fault(
    servers: Mapping[str, Server], balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.backends.append(servers["another"].port)
    with pytest.raises(ProofFailed, match=r"other replicas answer too\. another answered") as raised:
        prove(edge, digits)
    assert raised.value.fault == "infrastructure"


def test_a_ready_replica_that_is_never_reached_is_named_and_no_images_fault(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    del balancer.backends[1]
    with pytest.raises(ProofFailed, match="app-2 never answered") as raised:
        prove(edge, digits)
    assert raised.value.fault == "infrastructure"


def test_a_client_that_is_held_at_one_replica_learns_so_and_what_to_change(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.by_client = True
    with pytest.raises(ProofFailed, match=r"sends one client to one replica") as raised:
        prove(edge, digits)
    assert "could not be verified" in raised.value.happened
    assert "`sessionAffinity: None`" in raised.value.remedy
    assert raised.value.fault == "configuration"


class Replicas(JsonHandler):
    """Replicas behind a load balancer that chooses one for each request: each in turn."""

    turn = count()
    digits: ModelManifest

    def pod(self) -> str:
        return PODS[next(self.turn) % len(PODS)]

    def send_response(self, code: int, message: str | None = None) -> None:
        super().send_response(code, message)
        self.send_header("X-Served-By", self.pod())

    def do_GET(self) -> None:  # http.server's name
        model = {"name": "digits", "version": "1.0.0", "digest": self.digits.digest}
        self.answer(200, {"capsule": CAPSULE, "commit": "a" * 40, "model": model})

    def do_POST(self) -> None:  # http.server's name
        picture = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"][0]
        right = next(one.expected for one in self.digits.examples if one.input == picture)
        self.answer(200, {"result": [right]})


KEPT_OR_NOT = pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])


@KEPT_OR_NOT
def test_affinity_by_cookie_holds_no_request_at_a_replica(digits: ModelManifest, protocol: str) -> None:
    class Sticky(Replicas):
        """The first replica for all who bring its cookie, the next one in turn for all others."""

        protocol_version = protocol
        held = 0

        def pod(self) -> str:
            if "Cookie" not in self.headers:
                return super().pod()
            Sticky.held += 1
            return PODS[0]

        def send_response(self, code: int, message: str | None = None) -> None:
            super().send_response(code, message)
            self.send_header("Set-Cookie", "stay=here")

    Sticky.digits = digits
    with serving(Sticky) as url:
        assert prove(PublicEndpoint(url), digits).examples == len(digits.examples)
    assert not Sticky.held


def test_a_replica_answers_all_examples_over_one_connection(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    proven = prove(edge, digits)
    versions = proven.requests - proven.latency.requests
    assert proven.latency.requests == len(PODS) * len(digits.examples)
    assert balancer.connections == versions + len(PODS)


@KEPT_OR_NOT
def test_a_load_balancer_may_choose_a_replica_for_each_request(digits: ModelManifest, protocol: str) -> None:
    class ByRequest(Replicas):
        protocol_version = protocol

    ByRequest.digits = digits
    with serving(ByRequest) as url:
        proven = prove(PublicEndpoint(url), digits)
    assert proven.latency.requests <= len(PODS) * len(digits.examples) + len(digits.examples)


def test_a_server_that_closes_a_kept_connection_without_an_answer_has_not_crashed(
    digits: ModelManifest,
) -> None:
    class Closing(Replicas):
        protocol_version = "HTTP/1.1"
        answered = False

        def do_POST(self) -> None:  # http.server's name
            if self.answered:
                self.close_connection = True
                return
            self.answered = True
            super().do_POST()

    Closing.digits = digits
    with serving(Closing) as url:
        assert prove(PublicEndpoint(url), digits).examples == len(digits.examples)


def looks(*there: Mapping[str, bool]) -> Callable[[], Mapping[str, bool]]:
    """Each look in turn, and the last one from then on."""
    coming = iter(there)
    return lambda: next(coming, there[-1])


ALL = dict.fromkeys(PODS, True)
LEFT = {"app-1": True, "app-2": True}


def test_one_lost_request_to_the_api_server_does_not_begin_the_proof_again(
    edge: PublicEndpoint, digits: ModelManifest
) -> None:
    lost = iter([True])

    def there() -> Mapping[str, bool]:
        if next(lost, False):
            raise ClusterUnavailable("The API server is away.")
        return ALL

    assert proof_of(edge, digits, there).examples == len(digits.examples)


@pytest.mark.parametrize("comes", [{}, {"app-4": False}], ids=["scaled down", "its successor not ready"])
def test_a_replica_that_has_gone_meanwhile_is_not_waited_for(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest, comes: dict[str, bool]
) -> None:
    del balancer.backends[2]
    assert proof_of(edge, digits, looks(ALL, LEFT | comes)).examples == len(digits.examples)


@pytest.mark.parametrize("third", ["slow", "wrong"], indirect=True)
def test_the_successor_of_a_replica_that_has_gone_is_asked_in_its_place(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest, third: str
) -> None:
    there = looks(ALL, LEFT | {third: True})
    if third == "slow":
        assert proof_of(edge, digits, there).latency.slowest > 300
        return
    with pytest.raises(ProofFailed, match=r"wrong answers the model's examples wrong") as raised:
        proof_of(edge, digits, there)
    assert raised.value.fault == "image"


def test_a_replica_that_answers_wrong_is_reported_though_another_one_has_gone(
    servers: Mapping[str, Server], balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.backends[:] = [servers[pod].port for pod in ("app-1", "wrong")]
    three = {"app-1": True, "wrong": True}
    with pytest.raises(ProofFailed, match=r"wrong answers the model's examples wrong"):
        proof_of(edge, digits, looks(three | {"app-2": True}, three))


@pytest.mark.usefixtures("no_answer_expected")
def test_a_proof_does_not_restart_for_ever(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.close()
    others = ({f"app-{number}": True} for number in count())
    with pytest.raises(ProofFailed, match="app-2 never answered"):
        proof_of(edge, digits, lambda: next(others))


@pytest.mark.usefixtures("no_answer_expected")
def test_an_edge_that_is_down_is_no_images_fault(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.close()
    with pytest.raises(ProofFailed, match=r"can't be reached: .*Connection refused") as raised:
        prove(edge, digits)
    assert raised.value.fault == "infrastructure"


def test_an_edge_that_goes_down_between_version_and_examples_is_no_images_fault(
    balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    asked = iter(range(asking.IN_A_ROW * len(PODS)))

    def goes_down() -> None:
        if next(asked, None) is None:
            balancer.close()

    with pytest.raises(ProofFailed, match=r"did not answer 3\.png .*can't be reached") as raised:
        verification.verify_replicas(
            edge, ready(*PODS), CAPSULE, digits, outgoing=None, slower_than=3, say=print, alive=goes_down
        )
    assert raised.value.fault == "infrastructure"


def test_replicas_slower_than_the_release_before_are_reported_with_both_times(
    servers: Mapping[str, Server], balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.backends[:] = [servers["slow"].port]
    quick = Latency(median=20, slowest=30, requests=3)
    with pytest.raises(ProofFailed, match=r"became too slow: .* the release before took 20 ms"):
        prove(edge, digits, "slow", outgoing=quick)
    slower = Latency(median=10_000, slowest=10_000, requests=3)
    assert prove(edge, digits, "slow", outgoing=slower).latency.median > 300


def test_the_release_before_is_measured_by_the_examples(
    servers: Mapping[str, Server], balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.backends[:] = [servers["slow"].port]
    latency = verification.measure(edge, digits, rounds=1)
    assert 300 < latency.median <= latency.slowest
    assert latency.requests == len(digits.examples)


def test_one_slow_replica_of_three_shows_as_the_slowest_answer(
    servers: Mapping[str, Server], balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.backends[2] = servers["slow"].port
    latency = prove(edge, digits, "app-1", "app-2", "slow").latency
    assert latency.slowest > max(300, latency.median)


def test_three_times_nothing_is_not_too_slow(edge: PublicEndpoint, digits: ModelManifest) -> None:
    assert prove(edge, digits, outgoing=Latency(median=0.1, slowest=0.1, requests=3)).requests


def test_an_outgoing_release_that_does_not_answer_is_not_measured(
    servers: Mapping[str, Server], balancer: LoadBalancer, edge: PublicEndpoint, digits: ModelManifest
) -> None:
    balancer.backends[:] = [servers["fails"].port]
    outgoing = verification.measure(edge, digits, rounds=1)
    assert str(outgoing) == "not measured"
    balancer.backends[:] = [servers[pod].port for pod in PODS]
    assert "the release before not measured" in str(prove(edge, digits, outgoing=outgoing))


def test_a_run_that_lost_the_right_to_go_on_stops_between_requests(
    edge: PublicEndpoint, digits: ModelManifest
) -> None:
    def lost() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        verification.verify_replicas(
            edge, ready(*PODS), CAPSULE, digits, outgoing=None, slower_than=3, say=print, alive=lost
        )
