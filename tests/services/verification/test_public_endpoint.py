"""The edge as a user meets it: a real DNS server, real connections, real certificates."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deployments.local.cluster.certificates import ensure_authority
from flows.core.errors import EdgeNotInOrder, ResolverUnavailable
from flows.services.verification import dns, tls
from flows.services.verification.public_endpoint import PublicEndpoint
from tests.services.certificates import served
from tests.stand_ins.dns_server import dns_server
from tests.stand_ins.load_balancer import LoadBalancer, load_balancer

APP, ELSEWHERE, BOTH, HALF = "app.slipway.test", "elsewhere.slipway.test", "both.slipway.test", "half.test"


@pytest.fixture(scope="module")
def resolver() -> Iterator[str]:
    records = {APP: "127.0.0.1", ELSEWHERE: "127.0.0.9", BOTH: "127.0.0.1,::1"}
    options = [f"--host-record={name},{address}" for name, address in records.items()]
    options += ["--host-record=half.test,127.0.0.1", "--host-record=half.test,127.0.0.8"]
    with dns_server(*options, "--txt-record=text.slipway.test,no address here") as address:
        yield address


@pytest.fixture
def balancer() -> Iterator[LoadBalancer]:
    with load_balancer() as listening:
        yield listening


@pytest.fixture
def own_authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of an authority that is trusted."""
    ensure_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    return tmp_path


def check(edge: PublicEndpoint, *reported: str) -> list[str]:
    logged: list[str] = []
    edge.require_in_order(reported, logged.append)
    return logged


def test_addresses_come_from_the_dns_server_that_is_named(resolver: str) -> None:
    assert PublicEndpoint(f"http://{APP}", resolver).resolve() == ("127.0.0.1",)
    assert PublicEndpoint(f"http://{BOTH}:8080", resolver).resolve() == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://10.1.2.3:80", ("10.1.2.3",)),
        ("https://[::1]:8443", ("::1",)),
        ("http://localhost:8080", ("127.0.0.1",)),
    ],
)
def test_addresses_and_localhost_are_not_looked_up(url: str, addresses: tuple[str, ...]) -> None:
    assert PublicEndpoint(url, resolver="127.0.0.1:1").resolve() == addresses


def test_without_a_dns_server_named_it_is_looked_up_as_this_machine_does() -> None:
    assert PublicEndpoint(f"http://{socket.gethostname()}").resolve()
    with pytest.raises((EdgeNotInOrder, ResolverUnavailable), match=r"nowhere\.invalid"):
        PublicEndpoint("http://nowhere.invalid").resolve()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unknown.slipway.test", "has no record for unknown.slipway.test"),
        ("text.slipway.test", "has no address record for text.slipway.test"),
    ],
)
def test_a_name_without_an_address_is_no_edge(resolver: str, name: str, message: str) -> None:
    with pytest.raises(EdgeNotInOrder, match=message):
        check(PublicEndpoint(f"http://{name}", resolver))


@pytest.mark.parametrize(
    ("name", "message"), [(APP, "does not answer within 0.5 s"), ("a.example", "can't tell")]
)
def test_a_dns_server_that_does_not_say_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch, resolver: str, name: str, message: str
) -> None:
    monkeypatch.setattr(dns, "LOOK_UP", 0.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        asked = f"127.0.0.1:{silent.getsockname()[1]}" if name == APP else resolver  # which knows .test alone
        with pytest.raises(ResolverUnavailable, match=message) as raised:
            check(PublicEndpoint(f"http://{name}", asked))
    assert asked in raised.value.happened


def test_an_edge_whose_name_leads_to_its_load_balancer_is_in_order(
    resolver: str, balancer: LoadBalancer
) -> None:
    url = f"http://{APP}:{balancer.port}"
    in_order = [f"{url} is in order: {APP} leads to 127.0.0.1."]
    assert (
        check(PublicEndpoint(url, resolver, ("127.0.0.1",)), "10.9.9.9") == in_order
    )  # settings over what is reported
    assert check(PublicEndpoint(url, resolver), "127.0.0.1", "10.9.9.9") == in_order
    assert check(PublicEndpoint(url, resolver), APP) == in_order  # some clouds report a name


def test_where_the_load_balancer_is_not_known_yet_that_is_logged(
    resolver: str, balancer: LoadBalancer
) -> None:
    logged = check(PublicEndpoint(f"http://{APP}:{balancer.port}", resolver))
    assert "whether that is the load balancer can't be checked yet" in logged[0]


def test_a_name_that_leads_elsewhere_is_reported_with_both_addresses(
    resolver: str, balancer: LoadBalancer
) -> None:
    edge = PublicEndpoint(f"http://{ELSEWHERE}:{balancer.port}", resolver, ("127.0.0.1",))
    with pytest.raises(EdgeNotInOrder, match=r"leads to 127\.0\.0\.9, but its load balancer is 127\.0\.0\.1"):
        check(edge)


def test_one_address_too_many_sends_users_elsewhere(resolver: str, balancer: LoadBalancer) -> None:
    with pytest.raises(EdgeNotInOrder, match=r"leads to 127\.0\.0\.8, but"):
        check(PublicEndpoint(f"http://{HALF}:{balancer.port}", resolver), "127.0.0.1")


def test_a_load_balancer_that_is_down_is_reported(resolver: str) -> None:
    with load_balancer() as gone:
        port = gone.port
    with pytest.raises(EdgeNotInOrder, match=f"accepts a connection .* port {port}: Connection refused"):
        check(PublicEndpoint(f"http://{APP}:{port}", resolver, ("127.0.0.1",)))


def test_one_of_two_load_balancers_is_enough_and_the_other_is_logged(
    resolver: str, balancer: LoadBalancer
) -> None:
    url = f"http://{HALF}:{balancer.port}"
    logged = check(PublicEndpoint(url, resolver, ("127.0.0.1", "127.0.0.8")))
    assert logged[0] == f"No connection to {url} at 127.0.0.8: Connection refused."
    assert "is in order" in logged[1]


@pytest.mark.parametrize(
    ("name", "days", "message"),
    [
        (APP, 6, "expires on {ends:%Y-%m-%d %H:%M} UTC, in less than 7 days"),
        (APP, -1, "expired on {ends:%Y-%m-%d %H:%M} UTC"),
        ("other.slipway.test", 90, "is not accepted: Hostname mismatch"),
    ],
)
def test_a_certificate_that_users_would_refuse_now_or_soon_is_reported(
    own_authority: Path, resolver: str, name: str, days: int, message: str
) -> None:
    ends = datetime.now(UTC) + timedelta(days=days)
    with load_balancer(tls=served(own_authority, name, ends=ends)) as balancer:
        url = f"https://{APP}:{balancer.port}"
        with pytest.raises(EdgeNotInOrder) as raised:
            check(PublicEndpoint(url, resolver, ("127.0.0.1",)))
    assert f"The certificate of {url} at 127.0.0.1 {message.format(ends=ends)}" in raised.value.happened


def test_a_certificate_of_an_unknown_authority_is_refused_and_of_a_known_one_is_good(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, resolver: str
) -> None:
    with load_balancer(tls=served(tmp_path, APP, ends=datetime.now(UTC) + timedelta(days=8))) as balancer:
        edge = PublicEndpoint(f"https://{APP}:{balancer.port}", resolver, ("127.0.0.1",))
        with pytest.raises(EdgeNotInOrder, match=r"is not accepted: .*issuer certificate"):
            check(edge)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        assert "is in order" in check(edge)[-1]


def test_an_authority_of_ones_own_is_trusted_beside_the_systems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    systems = tls.trusting().cert_store_stats()["x509_ca"]
    ensure_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    assert tls.trusting().cert_store_stats()["x509_ca"] == systems + 1


def test_https_where_no_tls_is_spoken_is_reported(resolver: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as plain:
        Thread(target=plain.serve_forever, args=(0.02,)).start()
        try:
            with pytest.raises(EdgeNotInOrder, match="no TLS is spoken there"):
                check(PublicEndpoint(f"https://{APP}:{plain.server_port}", resolver))
        finally:
            plain.shutdown()
