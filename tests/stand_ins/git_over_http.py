"""Stands in for the web server of a git host: it asks for a password, and may answer with pages and errors.

What answers behind it is git's own server, `git http-backend`.
"""

import base64
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.stand_ins.http_server import QuietHandler, serving

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


@dataclass
class GitHost:
    """The repositories below a folder; a test changes them while they are served.

    `passwords` are taken with any user name, `bearers` as such; without either, all are let in. `answers` are
    given to the next requests in place of git's, `always` to all. `moved` leads from a path to a URL.
    """

    url: str = ""
    passwords: set[str] = field(default_factory=set)
    bearers: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    moved: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """The header Authorization of each request, or ""."""

    def lets_in(self, authorization: str) -> bool:
        if not self.passwords and not self.bearers:
            return True
        scheme, _, value = authorization.partition(" ")
        if scheme == "Bearer":
            return value in self.bearers
        return scheme == "Basic" and base64.b64decode(value).decode().partition(":")[2] in self.passwords


def page(status: int, body: bytes = b"<html>sign in</html>") -> Answer:
    """A page in place of git's answer."""
    return status, {"Content-Type": "text/html; charset=utf-8"}, body


@contextmanager
def git_over_http(folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[GitHost]:
    """The bare repositories below the folder, each at its name; by https with `tls`."""
    host = GitHost()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            authorization = self.headers.get("Authorization", "")
            host.asked.append(authorization)
            path = urlsplit(self.path).path
            for old, new in host.moved.items():
                if path.startswith(old):
                    self.answer(301, {"Location": self.path.replace(old, new, 1)}, b"")
                    return
            if host.answers or host.always:
                self.answer(*(host.answers.pop(0) if host.answers else host.always or page(200)))
            elif not host.lets_in(authorization):
                self.answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            else:
                self.answer(*self.backend(body))

        do_POST = do_GET

        def backend(self, body: bytes) -> Answer:
            """What git's own server answers (git-http-backend(1))."""
            parts = urlsplit(self.path)
            variables = {
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                env={**os.environ, **variables},
                capture_output=True,
                check=True,
            )
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
            return int(headers.pop("Status", "200").split()[0]), headers, rest

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler, tls) as url:
        host.url = url
        yield host
