import os
import re
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.app.server import Server, received

SLOW = 200
HEAD = b"POST /score HTTP/1.1\r\nHost: app\r\nContent-Type: image/png\r\n"
BODY = HEAD + b"Content-Length: 1000000\r\n\r\n0"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFF\r\n012"
GET = b"GET /version HTTP/1.1\r\nHost: app\r\n\r\n"


@pytest.fixture
def connect() -> Iterator[Callable[[int, bytes], socket.socket]]:
    """Makes connections to a port that begin with some bytes, and ends them after the test."""
    with ExitStack() as held:

        def begin(port: int, sent: bytes) -> socket.socket:
            connection = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            connection.sendall(sent)
            return connection

        yield begin


def scored(server: Server, picture: bytes) -> int:
    return server.ask("POST", "/score", picture, Content_Type="image/png")[0]


Connect = Callable[[int, bytes], socket.socket]


def test_slow_senders_keep_neither_probes_nor_users_waiting(
    server: Server, three: bytes, connect: Connect
) -> None:
    slow = [connect(server.port, (HEAD, BODY, CHUNKS, b"")[n % 4]) for n in range(SLOW)]
    assert {server.probe(path)[0] for path in ("/healthz", "/readyz", "/metrics")} == {200}
    assert {scored(server, three) for _ in range(8)} == {200}
    assert server.ask("GET", "/healthz")[0] == 200
    ended, _, _ = select.select(slow, [], [], 0)
    assert not ended, "The answers came only after slow senders had been refused."


def test_readers_that_do_not_hang_up_keep_no_user_waiting(
    server: Server, three: bytes, connect: Connect
) -> None:
    ends_after = b"GET /version HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
    for connection in [connect(server.port, ends_after) for _ in range(50)]:
        assert received(connection).startswith(b"HTTP/1.1 200")
    assert scored(server, three) == 200


def test_a_sender_that_goes_on_too_slowly_is_refused(
    serve: Callable[..., Server], digits: Path, connect: Connect
) -> None:
    server = serve(digits, CLIENT_SECONDS="1", WEB_CONCURRENCY="1")
    server.wait_until(server.is_ready)
    dripping = [connect(server.port, begun) for begun in (HEAD, BODY, CHUNKS)]
    while dripping:
        refused, _, _ = select.select(dripping, [], [], 0.1)
        for connection in refused:
            assert received(connection).startswith(b"HTTP/1.1 408")
            dripping.remove(connection)
        for connection in dripping:
            connection.sendall(b"0")


def test_requests_that_come_together_are_answered_one_after_the_other(
    server: Server, three: bytes, connect: Connect
) -> None:
    last = HEAD + f"Connection: close\r\nContent-Length: {len(three)}\r\n\r\n".encode() + three
    empty = HEAD + b"Content-Length: 1\r\n\r\n0"
    answers = received(connect(server.port, GET + empty + GET + last))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"422", b"200", b"200"]


def test_what_follows_a_body_that_was_refused_unread_is_no_request(server: Server, connect: Connect) -> None:
    too_large = HEAD + b"Content-Length: 99000000\r\n\r\n"
    answers = received(connect(server.port, too_large + GET))
    assert answers.startswith(b"HTTP/1.1 413")
    assert answers.count(b"HTTP/1.1") == 1


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server: Server, connect: Connect) -> None:
    waits = HEAD + b"Content-Length: 99000000\r\nExpect: 100-continue\r\n\r\n"
    assert received(connect(server.port, waits)).startswith(b"HTTP/1.1 413")


def test_workers_that_hang_fail_the_liveness_probe(serve: Callable[..., Server], digits: Path) -> None:
    server = serve(digits, HUNG_AFTER_SECONDS="1.5")
    server.wait_until(server.is_ready)
    workers = server.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    server.wait_until(lambda: server.probe("/healthz")[0] == 503)
    assert server.probe("/readyz")[0] == 503
    os.kill(min(workers), signal.SIGCONT)
    server.wait_until(lambda: server.probe("/healthz")[0] == 200)


def test_threads_that_hang_fail_the_liveness_probe(
    serve: Callable[..., Server], digits: Path, connect: Connect
) -> None:
    server = serve(digits, "tests.app.hanging:application()", HUNG_AFTER_SECONDS="1.5", WEB_CONCURRENCY="1")
    server.wait_until(server.is_ready)
    for _ in range(8):
        connect(server.port, b"GET /hang HTTP/1.1\r\nHost: app\r\n\r\n")
    server.wait_until(lambda: server.probe("/healthz")[0] == 503)


def test_metrics_are_at_the_port_of_the_probes_alone(server: Server) -> None:
    assert server.ask("GET", "/metrics")[0] == 404
    assert server.probe("/metrics")[0] == 200


def test_without_a_port_for_probes_users_port_has_them(serve: Callable[..., Server], digits: Path) -> None:
    server = serve(digits, PROBE_PORT="")
    server.wait_until(lambda: "Booting worker" in server.output())
    assert {server.ask("GET", path)[0] for path in ("/readyz", "/healthz", "/metrics")} == {200}
