"""Slack, Teams and SendGrid, as far as a notification goes: a proxy on loopback that answers in their names.

A client that sends through it and trusts its authority finds a service at every address. It takes all that
it is given.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deployments.local.cluster.certificates import ensure_authority
from tests.services.certificates import served
from tests.stand_ins.http_server import QuietHandler, serving

DAY = timedelta(days=1)


@dataclass
class ChatServices:
    """Where the proxy listens, whom to trust, and what it was given: address and JSON."""

    proxy: str
    authority: Path
    taken: list[tuple[str, Any]] = field(default_factory=list)


@contextmanager
def chat_services(folder: Path) -> Iterator[ChatServices]:
    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"
        host = ""

        def do_CONNECT(self) -> None:
            self.host = self.path.partition(":")[0]
            self.send_response(200)
            self.end_headers()
            context = served(folder, self.host, ends=datetime.now(UTC) + DAY)
            self.close_connection = False  # a client of HTTP/1.0 goes on all the same
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            services.taken.append((f"{self.host}{self.path.partition('?')[0]}", json.loads(body)))
            self.send_response(202 if "sendgrid" in self.host else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    ensure_authority(folder)
    with serving(Handler) as url:
        services = ChatServices(url, folder / "ca.crt")
        yield services
