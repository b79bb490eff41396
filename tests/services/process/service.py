"""A server that only the proxy finds and only the setting's authority proves: a bit of each system."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.services.certificates import served
from tests.stand_ins.http_server import QuietHandler, serving

HOST = "service.example.test"
URL = f"https://{HOST}"
COMMIT = "1" * 40
BLOB = b"content"

PAGES = {
    "/app.git/info/refs": f"{COMMIT}\trefs/heads/main\n".encode(),
    "/app.git/HEAD": b"ref: refs/heads/main\n",
    "/version": json.dumps(dict.fromkeys(("major", "minor", "gitVersion"), "1")).encode(),
    "/api/health": b"true",
}


class _Service(QuietHandler):
    def do_GET(self) -> None:
        content = PAGES.get(urlsplit(self.path).path, BLOB)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET


@contextmanager
def service(folder: Path) -> Iterator[int]:
    """The port of the server; `folder`/ca.crt is its authority."""
    tls = served(folder, HOST, ends=datetime.now(UTC) + timedelta(days=60))
    with serving(_Service, tls) as url:
        yield int(url.rpartition(":")[2])


def kubeconfig(folder: Path) -> Path:
    """One that leads to the server, without its authority: the process has it."""
    content = {
        "current-context": "outside",
        "contexts": [{"name": "outside", "context": {"cluster": "outside", "user": "tester"}}],
        "clusters": [{"name": "outside", "cluster": {"server": URL}}],
        "users": [{"name": "tester", "user": {"token": "none"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file
