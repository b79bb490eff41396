"""The receiver without Prefect, which no sender of a part of a delivery needs."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from flows.config.load import CHECKOUT
from tests.support.waiting import wait_until
from tests.triggers.processes import PATIENCE, answers, kill

SLOW = 200
HEAD = b"POST /hooks/github HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a receiver listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("prefect")
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:flows.triggers.gunicorn_conf"]
    running = subprocess.Popen(
        [*gunicorn, "--bind", f"127.0.0.1:{port}"],
        cwd=CHECKOUT,
        env={**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": "http://127.0.0.1:1/api"},
        start_new_session=True,
    )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}"), "The receiver does not answer")
        yield port
    finally:
        kill(running)


def test_slow_senders_keep_no_other_waiting(port: int) -> None:
    begun = (HEAD, HEAD + b"Content-Length: 1000\r\n\r\n0", b"")
    with ExitStack() as held:
        slow = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(SLOW)]
        for connection, sent in zip(slow, begun * SLOW, strict=False):
            connection.sendall(sent)
        assert answers(f"http://127.0.0.1:{port}")
        ended, _, _ = select.select(slow, [], [], 0)
        assert not ended, "The answer came only after slow senders had been refused."


def test_a_delivery_that_is_too_large_is_refused_before_it_is_sent(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000001\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
