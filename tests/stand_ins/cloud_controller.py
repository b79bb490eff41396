"""Stands in for a cloud's controller of Services: a load balancer, its address and its DNS name come late.

Each comes `late` seconds after the one before. The load balancer accepts connections while any replica of the
Deployment is ready, as Azure's does: with none, a connection is refused.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flows.services.kubernetes.cluster import Cluster
from tests.stand_ins.dns_server import dns_server
from tests.stand_ins.load_balancer import LoadBalancer

ADDRESS = "127.0.0.1"
LOOK = 0.2
"""Seconds between two looks at the cluster."""


@dataclass
class Cloud:
    """What it has made so far, in order: `steps`. Users type `url`, which is looked up at `resolver`."""

    url: str
    resolver: str
    steps: list[str] = field(default_factory=list)


@contextlib.contextmanager
def cloud_controller(cluster: Cluster, backend: int, folder: Path, *, late: float) -> Iterator[Cloud]:
    """The controller at work, for the Service of that name; requests go on to port `backend` of loopback."""
    port = _free_port()
    name = "late.slipway.test"
    names = folder / "names"
    names.mkdir()
    ended = threading.Event()
    with dns_server(f"--hostsdir={names}") as resolver:
        cloud = Cloud(f"http://{name}:{port}", resolver)

        def publish_name() -> None:
            (names / "late").write_text(f"{ADDRESS} {name}\n")  # dnsmasq reads new files at once

        def control() -> None:
            if not _wait_for(lambda: _service(cluster) is not None, ended):
                return
            steps: dict[str, Callable[[], object]] = {
                "address": lambda: _report_address(cluster),
                "name": publish_name,
            }
            for step, make in steps.items():
                if ended.wait(late):
                    return
                make()
                cloud.steps.append(step)
            ended.wait(late)
            _balance(cluster, port, backend, cloud, ended)

        thread = threading.Thread(target=control)
        thread.start()
        try:
            yield cloud
        finally:
            ended.set()
            thread.join()


def _balance(cluster: Cluster, port: int, backend: int, cloud: Cloud, ended: threading.Event) -> None:
    """Accept connections while a replica is ready, until the end."""
    balancer: LoadBalancer | None = None
    while not ended.wait(LOOK):
        deployment = cluster.find_deployment()
        ready = deployment is not None and deployment.get("status", {}).get("readyReplicas", 0) > 0
        if ready and balancer is None:
            balancer = LoadBalancer(backend, port=port)
            cloud.steps.append("connections")
        elif not ready and balancer is not None:
            balancer.close()
            balancer = None
            cloud.steps.append("no connections")
    if balancer is not None:
        balancer.close()


def _service(cluster: Cluster) -> object:
    return cluster.api.get(cluster.path("api/v1", "services", cluster.deployment))


def _report_address(cluster: Cluster) -> None:
    """As the controller does; in the mode Proxy the nodes don't take the address for their own."""
    ingress = [{"ip": ADDRESS, "ipMode": "Proxy"}]
    path = f"{cluster.path('api/v1', 'services', cluster.deployment)}/status"
    cluster.api.merge(path, {"status": {"loadBalancer": {"ingress": ingress}}}, manager="cloud-controller")


def _wait_for(condition: Callable[[], bool], ended: threading.Event) -> bool:
    """Whether it came about before the end."""
    while not condition():
        if ended.wait(LOOK):
            return False
    return True


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port: int = free.getsockname()[1]
        return port
