"""What the edge lets through: the real one, with no cluster behind it."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from deployments.local.docker import engine, images
from deployments.local.network import edge
from deployments.local.platform_file import WrittenSettings
from flows.config.load import load_as
from tests.local.cluster_under_test import free_instance
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.platform, pytest.mark.apart]

CONNECTIONS = 20
UPLOAD = b"POST /score HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Where an edge answers 503, as no replica is ready."""
    client = engine.connect()
    instance = free_instance("edge", tmp_path_factory.mktemp("edge"))
    ports = instance.ports.model_copy(update={"connections_per_client": CONNECTIONS})
    instance = replace(instance, ports=ports)
    try:
        image = images.ensure(client, images.EDGE, print)
        edge.up(client, instance, image, load_as(WrittenSettings), print)
        yield "127.0.0.1", edge.port(instance, "production")
    finally:
        engine.remove_all(client, instance)


def test_a_client_has_so_many_connections_and_no_more(address: tuple[str, int]) -> None:
    wait_until(lambda: is_let_in(address), "The edge does not answer")
    with ExitStack() as stack:
        held: list[socket.socket] = []

        def one_more_is_refused() -> bool:
            """The edge refuses the last of these while it still counts the one before."""
            held[:] = [each for each in held if not select.select([each], [], [], 0)[0]]
            while len(held) < CONNECTIONS:
                held.append(stack.enter_context(socket.create_connection(address)))
            return not is_let_in(address)

        wait_until(one_more_is_refused, "One connection more was let in")
    wait_until(lambda: is_let_in(address), "A client that hung up was not let in again")


def test_no_replica_is_asked_before_a_small_request_is_complete(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(UPLOAD + b"0123")
        assert is_let_in(address)
        answered, _, _ = select.select([connection], [], [], 0)
        assert not answered, "The edge looked for a replica while the request was still arriving."
        connection.sendall(b"4")
        assert connection.recv(100).startswith(b"HTTP/1.1 503")


def is_let_in(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: app\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1")
    except ConnectionError:
        return False
