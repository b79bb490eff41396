"""A registry that lies: what it answers to each path is the test's to say, and what it was sent is kept."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.stand_ins.http_server import QuietHandler, serving

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
    """Its address; `answers` by path below /v2/team/app/; `sent` has the Authorization headers that came,
    `asked` the methods."""

    address: str
    answers: dict[str, Answer] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def hostile_registry() -> Iterator[HostileRegistry]:
    """On loopback, until the block ends."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            registry.asked.append(self.command)
            if given := self.headers["Authorization"]:
                registry.sent.append(given)
            path = self.path.partition("?")[0].removeprefix("/v2/team/app/")
            answer = registry.answers.get(path, Answer(status=404))
            self.send_response(answer.status)
            for name, text in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, text)
            self.end_headers()
            if self.command != "GET":
                return
            with suppress(ConnectionError):  # a client that reads no more than it must
                self.wfile.write(answer.body)

        do_HEAD = do_POST = do_GET

    with serving(Handler) as url:
        registry = HostileRegistry(f"localhost:{urlsplit(url).port}")
        yield registry
