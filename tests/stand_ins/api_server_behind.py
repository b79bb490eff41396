"""Stands in for one of several API servers, whose admission policy has not heard of the Lease's holder yet.

Two of them that share one etcd can't be had here. Which answers is the load balancer's choice.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml

from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.fence import POLICY
from tests.stand_ins.json_server import JsonHandler, serving

REFUSAL = f"ValidatingAdmissionPolicy '{POLICY}test' with binding '{POLICY}test' denied request: no"


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

    class Handler(JsonHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            self.answer(200, {"spec": servers.lease})

        def do_PUT(self) -> None:  # http.server's name
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if servers.behind:
                servers.behind -= 1
                servers.refused += 1
                self.answer(403, {"kind": "Status", "message": REFUSAL})
            else:
                servers.written.append(content)
                self.answer(200, content)

    lease = {"holderIdentity": holder, "leaseTransitions": number}
    with serving(Handler) as address:
        servers = ApiServers(Cluster(_kubeconfig(folder, address), "some", "production", "web"), lease)
        yield servers


def _kubeconfig(folder: Path, address: str) -> Path:
    content = {
        "clusters": [{"name": "some", "cluster": {"server": address}}],
        "users": [{"name": "some", "user": {}}],
        "contexts": [{"name": "some", "context": {"cluster": "some", "user": "some"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file
