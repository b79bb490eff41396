"""Stands in for a company's proxy: it wants a user and a password, and alone knows where names lead."""

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

USER, PASSWORD = "slipway", "p@ss:w/1"


@dataclass
class CompanyProxy:
    """Its address without a login, and what was asked: each CONNECT's target, and whether it got through.

    Every name leads to `port` on loopback, but for those in `ports`.
    """

    url: str
    port: int
    connected: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    login: str = f"{USER}:{PASSWORD}"
    ports: dict[str, int] = field(default_factory=dict)
    denial: str = ""
    """The status with which it answers every CONNECT that has the login, in place of a connection."""

    def admits(self, head: str) -> bool:
        """Whether the request has the login."""
        expected = base64.b64encode(self.login.encode()).decode()
        lines = (line.partition(":") for line in head.split("\r\n"))
        return any(
            name.lower() == "proxy-authorization" and value.strip() == f"Basic {expected}"
            for name, _, value in lines
        )


@contextlib.contextmanager
def company_proxy(port: int) -> Iterator[CompanyProxy]:
    """A proxy on loopback whose every name leads to that port there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = CompanyProxy(f"http://127.0.0.1:{listening.getsockname()[1]}", port)
        accepting = threading.Thread(target=_accept, args=(listening, proxy), daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listening: socket.socket, proxy: CompanyProxy) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, proxy), daemon=True).start()


def _serve(client: socket.socket, proxy: CompanyProxy) -> None:
    with contextlib.suppress(OSError), client:
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (some := client.recv(65536)):
                    return
                head += some
            method, target, *_ = head.decode().split(" ")
            if method == "CONNECT" and proxy.admits(head.decode()):
                if proxy.denial:
                    client.sendall(f"HTTP/1.1 {proxy.denial}\r\nContent-Length: 0\r\n\r\n".encode())
                    return
                break
            proxy.refused.append(target)
            # kept open: git asks again, with its login, on the same connection
            client.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="company"\r\nContent-Length: 0\r\n\r\n'
            )
        proxy.connected.append(target)
        port = proxy.ports.get(target.rpartition(":")[0], proxy.port)
        with socket.create_connection(("127.0.0.1", port)) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := source.recv(65536):
            target.sendall(some)
        target.shutdown(socket.SHUT_WR)
