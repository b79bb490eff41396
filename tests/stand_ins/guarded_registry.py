"""A registry that answers a login with the statuses that the test chooses; what was asked of it is kept."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flows.core.build.latest import INDEX
from tests.stand_ins.http_server import JsonHandler, serving

USER, PASSWORD = "nodes", "a-password-of-the-test"


@dataclass
class GuardedRegistry:
    """Its address; the status of a pull and of a push by `USER`; method and path of every request let in;
    the index that `latest` names."""

    address: str = ""
    pull: int = 200
    push: int = 401
    asked: list[str] = field(default_factory=list)
    latest: bytes = b""


@contextmanager
def guarded_registry() -> Iterator[GuardedRegistry]:
    """On loopback, until the block ends. It asks for Basic credentials, as Debian's does."""
    registry = GuardedRegistry()
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self._answer_as(registry.pull)

        def do_POST(self) -> None:
            self._answer_as(registry.push)

        def do_DELETE(self) -> None:
            self._answer_as(204)

        def _answer_as(self, status: int) -> None:
            if self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            registry.asked.append(f"{self.command} {self.path}")
            body = registry.latest if self.path.endswith("/manifests/latest") else b""
            self.send_response(status)
            if status == 202:
                self.send_header("Location", "/v2/team/app/blobs/uploads/an-upload")
            self.send_header("Content-Type", INDEX)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as address:
        registry.address = address.removeprefix("http://")
        yield registry
