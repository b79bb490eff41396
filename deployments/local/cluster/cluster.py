"""The embedded Kubernetes cluster: brought up, repaired, looked at."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import docker
import httpx
from docker.models.containers import Container as DockerContainer

from deployments.local.cluster import nodes
from deployments.local.cluster.nodes import CONTROL_PLANE, NODES
from deployments.local.docker.engine import ensure_container, ensure_network, find_container
from deployments.local.instance import Instance
from deployments.local.progress import Say
from deployments.local.stores import credentials
from flows.core.errors import ClusterUnavailable, PlatformFailed
from flows.services.process.poll import Waiting, poll

READY_WITHIN = 90.0
"""Seconds until both nodes are Ready; on an idle machine they need five."""

POLL_INTERVAL = 0.2
API_TIMEOUT = 5


@dataclass(frozen=True)
class NodeStatus:
    """Whether a node can take pods now, and if not, why."""

    name: str
    ready: bool
    reason: str = ""


def up(client: docker.DockerClient, instance: Instance, binary: Path, image: str, say: Say) -> Path:
    """The administrator's kubeconfig once both nodes are Ready; repairs what stopped, is gone or outdated.

    `PlatformFailed` names the component to blame and ends with what it logged last.
    """
    began = time.monotonic()
    kubeconfig = credentials.ensure_kubeconfig(instance)
    ensure_network(client, instance)
    specs = [nodes.container(instance, node, image, binary) for node in NODES]
    with ThreadPoolExecutor() as pool:
        containers = list(pool.map(lambda spec: ensure_container(client, instance, spec), specs))
    with _api(instance) as api:
        _wait_until_ready(api, containers)
    say(f"{len(NODES)} nodes are ready after {time.monotonic() - began:.1f} s")
    return kubeconfig


def status(client: docker.DockerClient, instance: Instance) -> list[NodeStatus]:
    """How the nodes are; `ClusterUnavailable` if the API server does not say."""
    found = {node.role: find_container(client, instance, node.role) for node in NODES}
    running = [container for container in found.values() if container and container.status == "running"]
    stopped = [name for name, container in found.items() if container not in running]
    statuses = [NodeStatus(name, False, "its container does not run") for name in stopped]
    if not running:
        return statuses
    with _api(instance) as api:
        return statuses + _observe(api, running)


def _api(instance: Instance) -> httpx.Client:
    server = f"https://127.0.0.1:{instance.ports.kubernetes_port}"
    identity = credentials.administrator(instance)
    return httpx.Client(base_url=server, verify=identity, timeout=API_TIMEOUT, trust_env=False)


def _wait_until_ready(api: httpx.Client, containers: Sequence[DockerContainer]) -> None:
    unready: list[NodeStatus] = []

    def look() -> bool | Waiting:
        for container in containers:
            container.reload()
        try:
            unready[:] = [node for node in _observe(api, containers) if not node.ready]
        except ClusterUnavailable as error:
            unready[:] = [NodeStatus(CONTROL_PLANE.role, False, str(error))]
        if not unready:
            return True
        if exited := [container for container in containers if container.status != "running"]:
            raise _failure(exited[0], "Its container ended.")
        return Waiting(unready[0].reason)

    def late(reason: str) -> PlatformFailed:
        [blamed] = [container for container in containers if _role(container) == unready[0].name]
        return _failure(blamed, reason)

    poll(look, timeout=READY_WITHIN, pause=POLL_INTERVAL, late=late)


def _observe(api: httpx.Client, containers: Sequence[DockerContainer]) -> list[NodeStatus]:
    try:
        answer = api.get("/api/v1/nodes").raise_for_status()
    except httpx.HTTPError as error:
        raise ClusterUnavailable(f"The API server does not answer: {error}.") from error
    conditions = {
        node["metadata"]["name"]: condition
        for node in answer.json()["items"]
        for condition in node["status"].get("conditions", ())
        if condition["type"] == "Ready"
    }
    return [_judge(container, conditions.get(_role(container))) for container in containers]


def _judge(container: DockerContainer, condition: Mapping[str, str] | None) -> NodeStatus:
    """What a node said before its container was started this time does not count."""
    started = datetime.fromisoformat(container.attrs["State"]["StartedAt"]).replace(microsecond=0)
    if condition is None or datetime.fromisoformat(condition["lastHeartbeatTime"]) < started:
        return NodeStatus(_role(container), False, "It has not reported since it was started.")
    ready = condition["status"] == "True"
    return NodeStatus(_role(container), ready, "" if ready else condition["message"])


def _role(container: DockerContainer) -> str:
    return str(container.attrs["Config"]["Hostname"])


def _failure(container: DockerContainer, reason: str) -> PlatformFailed:
    component, log = _culprit(container)
    return PlatformFailed(
        f"The node {_role(container)} of the embedded Kubernetes did not become ready: {reason} "
        f"The last lines of {component}:\n{log.rstrip()}\n",
        f"List all logs with `docker exec {container.name} ls /var/log/slipway`. If `make run` ends here "
        "again, run `make clean` before it: this deletes the platform's data.",
    )


def _culprit(container: DockerContainer) -> tuple[str, str]:
    """The component that ended last, or else the one that makes a node Ready, with the end of its log."""
    said = b"".join(container.logs(tail=200, stream=True, follow=False)).decode(errors="replace")
    ended = [line.split()[1] for line in said.splitlines() if " ended with status " in line]
    if container.status != "running":
        return "its container", said[-2000:]
    component = ended[-1] if ended else "kubelet"
    _, log = container.exec_run(["tail", "-n", "15", f"/var/log/slipway/{component}.log"])
    assert isinstance(log, bytes)  # as it was not streamed
    return component, log.decode(errors="replace")
