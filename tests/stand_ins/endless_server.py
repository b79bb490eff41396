"""A server whose answers have no end: each path is another way to keep a client busy or fill its memory."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event

from tests.stand_ins.http_server import QuietHandler, serving

CHUNK = bytes(64 << 10)


@contextmanager
def endless_server() -> Iterator[str]:
    """Its address; /body, /slow-body, /slow-headers, /packed, /redirect and /challenge do not end."""
    is_over = Event()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the client has gone
                match self.path.removeprefix("/v2").removesuffix("/manifests/a"):
                    case "/slow-headers":
                        self.drip(b"HTTP/1.1 200 OK\r\nX-Never: ")
                    case "/slow-body":
                        self.drip(b"HTTP/1.1 200 OK\r\n\r\n")
                    case "/packed":
                        packed = gzip.compress(bytes(64 << 20))
                        self.begin(200, {"Content-Encoding": "gzip", "Content-Length": str(len(packed))})
                        self.wfile.write(packed)
                    case "/redirect":
                        self.flood(302, {"Location": "/small"})
                    case "/challenge":
                        self.flood(401, {"WWW-Authenticate": "Basic realm=x"})
                    case "/small":
                        self.begin(200, {"Content-Length": "5"})
                        self.wfile.write(b"small")
                    case _:
                        self.flood(200, {})

        def begin(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            self.end_headers()

        def flood(self, status: int, headers: dict[str, str]) -> None:
            self.begin(status, headers)
            while not is_over.is_set():
                self.wfile.write(CHUNK)

        def drip(self, start: bytes) -> None:
            self.wfile.write(start)
            while not is_over.wait(0.02):
                self.wfile.write(b"x")

    with serving(Handler) as url:
        try:
            yield url
        finally:
            is_over.set()
