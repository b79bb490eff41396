"""The machines of the embedded cluster: two containers, the control plane being a node like the other."""

from dataclasses import dataclass
from pathlib import Path

from deployments.local.docker.engine import Container
from deployments.local.instance import Instance
from deployments.local.stores import credentials, registry
from deployments.local.stores.credentials import API_PORT

CAPABILITIES = {"NET_ADMIN": 12, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_RESOURCE": 24, "SYSLOG": 34}
"""What a node needs beside docker's own choice, with their numbers in linux/capability.h."""


@dataclass(frozen=True)
class Node:
    """One machine: its role is also its host name and its name in the cluster."""

    role: str
    pod_subnet: str


CONTROL_PLANE = Node("control-plane", "10.244.0.0/24")
WORKER = Node("worker", "10.244.1.0/24")
NODES = (CONTROL_PLANE, WORKER)


def container(instance: Instance, node: Node, image: str, binary: Path) -> Container:
    """What the node's container is made from; with new certificates it is made again."""
    if node == CONTROL_PLANE:
        identity = credentials.ensure_control_plane(instance)
        ports = {API_PORT: instance.ports.kubernetes_port}
    else:
        identity = credentials.ensure_node(instance, node.role)
        ports = {}
    return Container(
        role=node.role,
        image=image,
        environment={
            "ROLE": node.role,
            "POD_SUBNET": node.pod_subnet,
            "PEERS": " ".join(f"{peer.role}={peer.pod_subnet}" for peer in NODES if peer != node),
            "REGISTRY": f"localhost:{instance.ports.registry_port}",
            "REGISTRY_ENDPOINT": f"http://{registry.PULL_ROLE}:5000",
            "CREDENTIALS": credentials.digest(identity),
        },
        volumes={
            f"{node.role}-containerd": "/var/lib/containerd",
            f"{node.role}-kubelet": "/var/lib/kubelet",
            f"{node.role}-data": "/var/lib/slipway",
        },
        mounts={
            str(identity): "/etc/kubernetes",
            str(binary): "/usr/local/bin/kube",
            str(binary.with_name("pause.tar")): "/opt/slipway/pause.tar",
        },
        tmpfs={"/run": "exec", "/tmp": ""},  # noqa: S108  # in the container
        ports=ports,
        capabilities=available_capabilities(),
        security_options=("seccomp=unconfined", "apparmor=unconfined"),
        cgroup_namespace="private",
        devices=("/dev/kmsg",),
        device_cgroup_rules=("a *:* rwm",),
    )


def available_capabilities() -> tuple[str, ...]:
    """Those that this machine has itself: docker can't give a container more."""
    status = Path("/proc/self/status").read_text()
    bounding = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    bits = int(bounding.split()[1], 16)
    return tuple(name for name, number in CAPABILITIES.items() if bits >> number & 1)
