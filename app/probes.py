"""Probes and metrics at a port of their own, which no user's request can keep waiting.

A thread of the process that starts gunicorn's workers answers. What it knows of them is their pulse: when one
of their threads last took up a request, or the tick that waits in the same queue.
"""

import os
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app import counts
from serving.pulse import PULSE

HUNG_AFTER = float(os.environ.get("HUNG_AFTER_SECONDS", "20"))
"""Seconds without any thread of any worker taking something up, after which the workers count as hung."""

_TEXT = "text/plain; charset=utf-8"
_servers: list[ThreadingHTTPServer] = []


def serve(port: int) -> None:
    """Answers at the port from now on, until the process ends. Raises OSError where the port is taken."""
    server = ThreadingHTTPServer(("0.0.0.0", port), _Handler)  # noqa: S104  # a container's own addresses
    server.daemon_threads = True
    _servers.append(server)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()


def leave() -> None:
    """Closes the port's socket in a process that was forked from the one that answers."""
    for server in _servers:
        server.socket.close()
    _servers.clear()


def health() -> tuple[HTTPStatus, str]:
    """200 while any worker takes something up; else 503, at which Kubernetes restarts the container."""
    if (age := PULSE.age()) < HUNG_AFTER:
        return HTTPStatus.OK, "alive\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, f"no worker took anything up for {age:.0f} s\n"


def readiness() -> tuple[HTTPStatus, str]:
    """200 once a worker has made a first prediction and takes requests."""
    if not PULSE.has_begun:
        return HTTPStatus.SERVICE_UNAVAILABLE, "warming up\n"
    status, reason = health()
    return status, "ready\n" if status == HTTPStatus.OK else reason


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # seconds of silence

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(*health())
        elif path == "/readyz":
            self._answer(*readiness())
        elif path == "/metrics":
            self._send(HTTPStatus.OK, counts.exposed(), counts.CONTENT_TYPE)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "not found\n")

    def _answer(self, status: HTTPStatus, text: str) -> None:
        self._send(status, text.encode(), _TEXT)

    def _send(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: probes come every second."""
