"""The embedded Kubernetes cluster: brought up, repaired, looked at."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import docker
from docker.models.containers import Container as DockerContainer
from kubernetes import client as kubernetes
from kubernetes import config
from urllib3.exceptions import HTTPError

from deployments.local import credentials, nodes
from deployments.local.engine import ensure_container, ensure_network, find_container
from deployments.local.instance import Instance
from deployments.local.nodes import CONTROL_PLANE, NODES
from flows.core.errors import ClusterUnavailable, PlatformFailed
from flows.settings import EMBEDDED

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


def up(
    client: docker.DockerClient, instance: Instance, binary: Path, image: str, say: Callable[[str], None]
) -> Path:
    """The administrator's kubeconfig once both nodes are Ready; repairs what stopped, is gone, or is outdated.

    `PlatformFailed` names the component to blame and ends with what it logged last.
    """
    began = time.monotonic()
    kubeconfig = credentials.ensure_kubeconfig(instance)
    ensure_network(client, instance)
    specs = [nodes.container(instance, node, image, binary) for node in NODES]
    with ThreadPoolExecutor() as pool:
        containers = list(pool.map(lambda spec: ensure_container(client, instance, spec), specs))
    _wait_until_ready(kubeconfig, containers)
    say(f"Kubernetes is ready after {time.monotonic() - began:.1f} s: {len(NODES)} nodes.")
    return kubeconfig


def status(client: docker.DockerClient, instance: Instance) -> list[NodeStatus]:
    """How the nodes are; `ClusterUnavailable` if the API server does not say."""
    found = {node.role: find_container(client, instance, node.role) for node in NODES}
    running = [container for container in found.values() if container and container.status == "running"]
    stopped = [name for name, container in found.items() if container not in running]
    return [
        *(NodeStatus(name, False, "its container does not run") for name in stopped),
        *(_observe(_core_api(credentials.kubeconfig(instance)), running) if running else ()),
    ]


def _wait_until_ready(kubeconfig: Path, containers: Sequence[DockerContainer]) -> None:
    core = _core_api(kubeconfig)
    deadline = time.monotonic() + READY_WITHIN
    for container in containers:
        container.reload()  # when it was started this time
    while True:
        try:
            unready = [node for node in _observe(core, containers) if not node.ready]
        except ClusterUnavailable as error:
            unready = [NodeStatus(CONTROL_PLANE.role, False, str(error))]
        if not unready:
            return
        if time.monotonic() > deadline or any(_has_exited(container) for container in containers):
            raise _failure(unready[0], containers)
        time.sleep(POLL_INTERVAL)


def _core_api(kubeconfig: Path) -> kubernetes.CoreV1Api:
    settings = kubernetes.Configuration()
    config.load_kube_config(str(kubeconfig), EMBEDDED, client_configuration=settings)
    settings.retries = False  # whoever waits asks again
    return kubernetes.CoreV1Api(kubernetes.ApiClient(settings))


def _observe(core: kubernetes.CoreV1Api, containers: Sequence[DockerContainer]) -> list[NodeStatus]:
    try:
        known = core.list_node(_request_timeout=API_TIMEOUT).items
    except (HTTPError, kubernetes.ApiException) as error:
        raise ClusterUnavailable(f"The API server does not answer: {error}.") from error
    conditions = {
        node.metadata.name: condition
        for node in known
        for condition in node.status.conditions or ()
        if condition.type == "Ready"
    }
    return [_judge(container, conditions.get(_role(container))) for container in containers]


def _judge(container: DockerContainer, condition: kubernetes.V1NodeCondition | None) -> NodeStatus:
    """What a node said before its container was started this time does not count."""
    started = datetime.fromisoformat(container.attrs["State"]["StartedAt"]).replace(microsecond=0)
    if condition is None or condition.last_heartbeat_time < started:
        return NodeStatus(_role(container), False, "it has not reported since it was started")
    return NodeStatus(_role(container), condition.status == "True", condition.message)


def _role(container: DockerContainer) -> str:
    return str(container.attrs["Config"]["Hostname"])


def _has_exited(container: DockerContainer) -> bool:
    container.reload()
    return container.status != "running"


def _failure(unready: NodeStatus, containers: Sequence[DockerContainer]) -> PlatformFailed:
    container = next(container for container in containers if _role(container) == unready.name)
    component, log = _culprit(container)
    return PlatformFailed(
        f"The node {unready.name} of the embedded Kubernetes did not become ready: {unready.reason} "
        f"Last words of {component}:\n{log}",
        f"\nAll logs: docker exec {container.name} ls /var/log/slipway",
    )


def _culprit(container: DockerContainer) -> tuple[str, str]:
    """The component that ended last, or else the one that makes a node Ready, with the end of its log."""
    said = container.logs(tail=200).decode(errors="replace")
    ended = [line.split()[1] for line in said.splitlines() if " ended with status " in line]
    if container.status != "running":
        return "its container", said[-2000:]
    component = ended[-1] if ended else "kubelet"
    _, log = container.exec_run(["tail", "-n", "15", f"/var/log/slipway/{component}.log"])
    return component, log.decode(errors="replace")
