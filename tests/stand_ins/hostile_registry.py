"""A registry that lies: what it answers to each path is the test's to say, and what it was sent is kept."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Answer:
    """What comes: bytes, a status and headers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def content(value: object, media_type: str = MANIFEST, **headers: str) -> Answer:
    """A manifest; with no digest in a header unless one is given."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(json.dumps(value).encode(), headers={"Content-Type": media_type, **named})


@dataclass
class HostileRegistry:
    """Its address; `answers` by path below /v2/team/app/; `sent` has the Authorization headers that came."""

    address: str
    answers: dict[str, Answer] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)


@contextmanager
def hostile_registry() -> Iterator[HostileRegistry]:
    """On loopback, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            if given := self.headers["Authorization"]:
                registry.sent.append(given)
            path = self.path.partition("?")[0].removeprefix("/v2/team/app/")
            answer = registry.answers.get(path, Answer(status=404))
            self.send_response(answer.status)
            for name, text in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry = HostileRegistry(f"localhost:{server.server_port}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
