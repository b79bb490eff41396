"""Stands in for GitHub's and Azure Repos' interfaces, which can't be had here: it takes commit statuses."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class CommitHost:
    """What it was told, in order; `answers` is the HTTP status that it gives."""

    url: str = ""
    answers: int = 201
    told: list[tuple[str, Mapping[str, str], dict[str, Any]]] = field(default_factory=list)


@contextmanager
def commit_host() -> Iterator[CommitHost]:
    """One on a free port of this machine."""
    host = CommitHost()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            host.told.append((self.path, dict(self.headers), body))
            self.send_response(host.answers)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
