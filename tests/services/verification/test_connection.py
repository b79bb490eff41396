"""A connection to the edge that is kept from request to request, as far as the server keeps it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from flows.core.errors import ProofFailed
from flows.services.verification.connection import PATIENCE, Connection, ConnectionClosed, connection
from flows.services.verification.public_endpoint import PublicEndpoint
from tests.stand_ins.http_server import JsonHandler, serving


class Server(JsonHandler):
    """Answers with the number of the request on its connection, and with the cookies that came."""

    protocol_version = "HTTP/1.1"
    number = 0

    def do_GET(self) -> None:  # http.server's name
        self.number += 1
        if self.path == "/hangs":
            self.rfile.read(1)  # until the client hangs up
        elif self.path == "/breaks":
            self.close_connection = True
        else:
            self.answer(200, {"number": self.number, "cookies": self.headers.get_all("Cookie", [])})

    def end_headers(self) -> None:
        self.send_header("Set-Cookie", "stay=here")
        if self.path == "/last":
            self.send_header("Connection", "close")
        super().end_headers()


@contextmanager
def server(patience: float = PATIENCE) -> Iterator[Connection]:
    with serving(Server) as url, connection(PublicEndpoint(url), patience) as kept:
        yield kept


@pytest.fixture
def kept() -> Iterator[Connection]:
    with server() as one:
        yield one


def asked(kept: Connection, path: str = "/") -> tuple[int, bool]:
    """The number of the request on its connection, and whether that was kept."""
    reply = kept.ask("GET", path)
    return reply.answer.json()["number"], reply.was_kept


def test_it_is_kept_until_it_is_closed(kept: Connection) -> None:
    assert [asked(kept), asked(kept), asked(kept)] == [(1, False), (2, True), (3, True)]
    kept.close()
    assert asked(kept) == (1, False)


def test_it_is_opened_again_once_the_server_has_closed_it(kept: Connection) -> None:
    assert [asked(kept), asked(kept, "/last"), asked(kept)] == [(1, False), (2, True), (1, False)]


def test_no_cookie_is_sent(kept: Connection) -> None:
    assert [kept.ask("GET", "/").answer.json()["cookies"] for _ in range(3)] == [[], [], []]


def test_a_kept_connection_that_closes_says_nothing_of_the_replica(kept: Connection) -> None:
    asked(kept)
    with pytest.raises(ConnectionClosed):
        kept.ask("GET", "/breaks")
    assert asked(kept) == (1, False)


def test_a_new_connection_that_closes_is_the_images_fault(kept: Connection) -> None:
    with pytest.raises(ProofFailed, match="/breaks broke off") as raised:
        kept.ask("GET", "/breaks")
    assert raised.value.fault == "image"
    assert asked(kept) == (1, False)


def test_an_answer_that_does_not_come_over_a_kept_connection_is_the_images_fault() -> None:
    with server(patience=0.5) as kept:
        asked(kept)
        with pytest.raises(ProofFailed, match="/hangs broke off") as raised:
            kept.ask("GET", "/hangs")
    assert raised.value.fault == "image"


def test_an_edge_that_goes_down_is_the_infrastructures_fault() -> None:
    with ExitStack() as at_the_end:
        with serving(Server) as url:
            kept = at_the_end.enter_context(connection(PublicEndpoint(url)))
            asked(kept, "/last")
        with pytest.raises(ConnectionClosed):
            kept.ask("GET", "/")
        with pytest.raises(ProofFailed, match="can't be reached") as raised:
            kept.ask("GET", "/")
    assert raised.value.fault == "infrastructure"
