"""A cluster of the tests' own, apart from the shared platform: its nodes are killed, drained and removed."""

import hashlib
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.models.containers import Container as DockerContainer

from deployments.local.cluster import cluster as embedded
from deployments.local.cluster import kubernetes_binary
from deployments.local.docker import engine, images
from deployments.local.instance import Instance
from deployments.local.stores import credentials, registry
from deployments.local.stores.registry import RegistryAccess
from flows.config.load import CHECKOUT
from flows.config.schema import Embedded

BELOW_EPHEMERAL = range(20000, 32000)
"""Ports that no client of this machine takes by chance while a node is down."""


@dataclass(frozen=True)
class Cluster:
    """A cluster with what it was brought up from."""

    client: docker.DockerClient
    instance: Instance
    binary: Path
    node_image: str

    def up(self) -> Path:
        return embedded.up(self.client, self.instance, self.binary, self.node_image, print)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        program = str(kubernetes_binary.kubectl(self.binary))
        access = f"--kubeconfig={credentials.kubeconfig(self.instance)}"
        command = [program, access, *arguments]
        return subprocess.run(
            command, input=stdin, check=True, stdout=subprocess.PIPE, text=True, timeout=120
        ).stdout

    def container(self, node: str) -> DockerContainer:
        return self.client.containers.get(self.instance.container(node))

    def address(self, node: str) -> str:
        """Of the node's container, on this machine's bridge; it may have another after each start."""
        networks = self.container(node).attrs["NetworkSettings"]["Networks"]
        return str(networks[self.instance.network]["IPAddress"])

    def starts(self) -> dict[str, str]:
        """Of each node's container: which it is, and since when it runs."""
        found = engine.list_containers(self.client, self.instance)
        return {str(c.name): f"{c.id} {c.attrs['State']['StartedAt']}" for c in found}

    def base_image(self) -> tuple[RegistryAccess, str]:
        """The base image in the cluster's registry, and what it takes to pull it."""
        image = images.ensure(self.client, images.REGISTRY, print)
        access = registry.up(self.client, self.instance, image, print)
        base = images.ensure(self.client, images.BASE, print)
        return access, registry.push_base(self.client, base, access, print)


def free_instance(purpose: str, state: Path) -> Instance:
    """An instance on ports at which nothing listens; what a dead test run left under its name is removed."""
    name = f"slipway-test-{purpose}-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]}"
    keys = [key for key in Embedded.model_fields if key.endswith("_port")]
    free = (port for port in BELOW_EPHEMERAL if not _is_taken(port))
    ports = Embedded.model_validate({"name": name, **{key: next(free) for key in keys}})
    instance = Instance(name, CHECKOUT, state, ports)
    engine.remove_all(engine.connect(), instance)
    return instance


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
