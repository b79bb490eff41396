"""Stands in for a load balancer: TCP on loopback, each connection to the next backend, TLS where asked."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

CHUNK = 64 << 10


class LoadBalancer:
    """`backends` are ports on loopback; those in `leaving` get the first connections, one each, and go.
    `connections` counts all.

    It listens at `listener`, or on a port of its own. With `by_client` every client stays with one backend,
    as session affinity by address has it: here there is one client, so it is the first.
    """

    def __init__(
        self,
        *backends: int,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        listener: socket.socket | None = None,
    ) -> None:
        self.backends = list(backends)
        self.leaving: list[int] = []
        self.by_client = False
        self.connections = 0
        self._tls = tls
        self._turn = 0
        self._listener = listener or socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it is closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either end hung up, or refused the certificate
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            with client, socket.create_connection(("127.0.0.1", self._next())) as server:
                back = threading.Thread(target=_forward, args=(server, client), daemon=True)
                back.start()
                _forward(client, server)
                back.join()

    def _next(self) -> int:
        if self.leaving:
            return self.leaving.pop(0)
        if not self.backends:
            raise ConnectionRefusedError("there is no backend")
        self._turn += not self.by_client
        return self.backends[self._turn % len(self.backends)]


def _forward(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either end hung up
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def load_balancer(*backends: int, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[LoadBalancer]:
    """One on that port, or on one of its own."""
    balancer = LoadBalancer(*backends, tls=tls, port=port)
    try:
        yield balancer
    finally:
        balancer.close()
