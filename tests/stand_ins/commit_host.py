"""Stands in for GitHub's and Azure Repos' interfaces, which can't be had here: it takes commit statuses."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.stand_ins.http_server import QuietHandler, serving


@dataclass
class CommitHost:
    """What it received, in order; `answers` is the HTTP status that it gives."""

    url: str
    answers: int = 201
    received: list[tuple[str, Mapping[str, str], dict[str, Any]]] = field(default_factory=list)


@contextmanager
def commit_host() -> Iterator[CommitHost]:
    """One on a free port of this machine."""

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            host.received.append((self.path, dict(self.headers), body))
            self.send_response(host.answers)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Handler) as url:
        host = CommitHost(url)
        yield host
