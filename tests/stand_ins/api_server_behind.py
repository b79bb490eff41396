"""Stands in for one of several API servers, whose admission policy has not heard of the Lease's holder yet.

Two of them that share one etcd can't be had here. Which answers is the load balancer's choice.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from flows.services.cluster import Cluster
from flows.services.kubernetes_api import FENCE_POLICY

REFUSAL = (
    f"ValidatingAdmissionPolicy '{FENCE_POLICY}test' with binding '{FENCE_POLICY}test' denied request: no"
)


@dataclass
class ApiServers:
    """The next `behind` writes are refused; `lease` is what all of them read; `written` what was let in."""

    cluster: Cluster
    lease: dict[str, Any]
    behind: int = 0
    refused: int = 0
    written: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def api_servers(folder: Path, holder: str, number: int) -> Iterator[ApiServers]:
    """Some that hold that Lease, and take any object."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            self._answer(200, {"spec": servers.lease})

        def do_PUT(self) -> None:  # http.server's name
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if servers.behind:
                servers.behind -= 1
                servers.refused += 1
                self._answer(403, {"kind": "Status", "message": REFUSAL})
            else:
                servers.written.append(content)
                self._answer(200, content)

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "clusters": [
                    {"name": "some", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
                ],
                "users": [{"name": "some", "user": {}}],
                "contexts": [{"name": "some", "context": {"cluster": "some", "user": "some"}}],
            }
        )
    )
    lease = {"holderIdentity": holder, "leaseTransitions": number}
    servers = ApiServers(Cluster(kubeconfig, "some", "production", "web"), lease)
    try:
        yield servers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
