"""Stands in for one of several API servers, whose admission policy has not heard of the Lease's holder yet.

Two of them that share one etcd can't be had here. Which answers is the load balancer's choice.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.fence import POLICY
from tests.stand_ins.http_server import JsonHandler, serving
from tests.support.kubeconfig import kubeconfig

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

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.answer(200, {"spec": servers.lease})

        def do_PUT(self) -> None:
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
        servers = ApiServers(Cluster(kubeconfig(folder, "some", address), "some", "production", "web"), lease)
        yield servers
