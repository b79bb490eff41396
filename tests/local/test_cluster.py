import hashlib
import json
import socket
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

import docker
import httpx
import pytest
from docker.models.containers import Container as DockerContainer

from deployments.local import cluster as embedded
from deployments.local import credentials, engine, images, kubernetes_binary, registry
from deployments.local.cluster import NodeStatus
from deployments.local.instance import Instance
from deployments.local.nodes import NODES
from deployments.local.polling import wait_until
from flows.core.errors import PlatformFailed
from flows.settings import CHECKOUT, EMBEDDED, Embedded

pytestmark = pytest.mark.timeout(1800)  # whoever comes first on a machine compiles Kubernetes

NODE_NAMES = [node.role for node in NODES]
NOT_RUNNING = "its container does not run"
WORKLOAD = Path(__file__).with_name("workload.yaml")
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

    def pods(self) -> set[str]:
        names = "--output=jsonpath={.items[*].metadata.name}"
        return set(self.kubectl("get", "pods", "--selector=app=web", names).split())

    def answer(self) -> str:
        """The name of the pod that answered; empty if none did."""
        try:
            app = f"http://127.0.0.1:{self.instance.ports.app_port}"
            return httpx.get(app, timeout=1, trust_env=False).text.strip()
        except httpx.TransportError:
            return ""

    def starts(self) -> dict[str, str]:
        """Of each node's container: which it is, and since when it runs."""
        found = engine.list_containers(self.client, self.instance)
        return {str(c.name): f"{c.id} {c.attrs['State']['StartedAt']}" for c in found}


def expect_answers_from_every_pod(cluster: Cluster) -> None:
    silent: set[str] = set()

    def all_answered() -> bool:
        silent.discard(cluster.answer())
        return not silent

    wait_until(lambda: cluster.answer() != "", timeout=60, otherwise="The workload does not answer")
    silent |= cluster.pods()
    wait_until(all_answered, timeout=60, otherwise=f"These pods don't answer: {silent}")


def free_instance(purpose: str, state: Path) -> Instance:
    """An instance on ports that nobody listens on; what a dead test run left under its name is removed."""
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


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    client = engine.connect()
    instance = free_instance("cluster", tmp_path_factory.mktemp("cluster"))
    node_image = images.ensure(client, images.NODE, print)
    found = Cluster(client, instance, kubernetes_binary.ensure(print), node_image)
    try:
        found.up()
        yield found
    finally:
        engine.remove_all(client, instance)


@pytest.fixture(scope="session")
def workload(cluster: Cluster) -> None:
    """A replica on each node, from an image that the registry gives to nobody without the password."""
    client, instance = cluster.client, cluster.instance
    access = registry.up(client, instance, images.ensure(client, images.REGISTRY, print), print)
    image = registry.push_base(client, images.ensure(client, images.BASE, print), access, print)
    login = {"auths": {access.address: {"username": access.username, "password": access.password}}}
    manifests = Template(WORKLOAD.read_text()).safe_substitute(IMAGE=image, LOGIN=json.dumps(login))
    cluster.kubectl("apply", "--filename=-", stdin=manifests)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=90s")


def test_both_nodes_run_that_version_of_kubernetes_and_are_ready(cluster: Cluster) -> None:
    assert embedded.status(cluster.client, cluster.instance) == [
        NodeStatus(name, True) for name in NODE_NAMES
    ]
    versions = "--output=jsonpath={.items[*].status.nodeInfo.kubeletVersion}"
    expected = f"v{kubernetes_binary.kubernetes_version()}"
    assert cluster.kubectl("get", "nodes", versions).split() == [expected, expected]
    assert f"Server Version: {expected}" in cluster.kubectl("version")


def test_the_kubeconfig_is_the_owners_alone_and_has_the_context_embedded(cluster: Cluster) -> None:
    kubeconfig = cluster.up()
    assert kubeconfig.parent == cluster.instance.state
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert cluster.kubectl("config", "current-context") == f"{EMBEDDED}\n"


def test_a_healthy_cluster_is_left_alone(cluster: Cluster) -> None:
    before = cluster.starts()
    cluster.up()
    assert cluster.starts() == before


@pytest.mark.usefixtures("workload")
def test_pods_of_both_nodes_answer_under_the_apps_port(cluster: Cluster) -> None:
    assert len(cluster.pods()) == len(NODES)
    expect_answers_from_every_pod(cluster)


@pytest.mark.usefixtures("workload")
def test_logs_and_commands_reach_pods_on_both_nodes(cluster: Cluster) -> None:
    for pod in cluster.pods():
        assert cluster.kubectl("exec", pod, "--", "hostname") == f"{pod}\n"
        assert "GET /" in cluster.kubectl("logs", pod)


@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("killed", [["worker"], ["control-plane"], NODE_NAMES], ids=" and ".join)
def test_killed_nodes_come_back_with_their_pods(cluster: Cluster, killed: list[str]) -> None:
    before = cluster.pods()
    for name in killed:
        cluster.container(name).kill()
    cluster.up()
    assert all(node.ready for node in embedded.status(cluster.client, cluster.instance))
    expect_answers_from_every_pod(cluster)
    assert cluster.pods() == before


@pytest.mark.usefixtures("workload")
def test_a_removed_node_comes_back_with_its_pods(cluster: Cluster) -> None:
    before = cluster.pods()
    cluster.container("worker").remove(force=True)
    cluster.up()
    expect_answers_from_every_pod(cluster)
    assert cluster.pods() == before


@pytest.mark.usefixtures("workload")
def test_nodes_that_docker_restarts_find_each_others_pods_at_new_addresses(cluster: Cluster) -> None:
    for name in NODE_NAMES:
        cluster.container(name).stop(timeout=10)
    for name in reversed(NODE_NAMES):  # each is given the address that the other had
        cluster.container(name).start()
    expect_answers_from_every_pod(cluster)


@pytest.mark.usefixtures("workload")
def test_a_stopped_cluster_comes_back_as_it_was(cluster: Cluster) -> None:
    before = cluster.pods()
    engine.remove_containers(cluster.client, cluster.instance)
    assert [node.reason for node in embedded.status(cluster.client, cluster.instance)] == [NOT_RUNNING] * 2
    cluster.up()
    expect_answers_from_every_pod(cluster)
    assert cluster.pods() == before


def test_a_cluster_that_does_not_come_up_shows_the_last_words_of_what_ended(
    cluster: Cluster, tmp_path: Path
) -> None:
    broken = tmp_path / "kube"
    broken.write_text("#!/bin/sh\necho $1 finds no peace\nexit 1\n")
    broken.chmod(0o755)
    (tmp_path / "pause.tar").symlink_to(cluster.binary.with_name("pause.tar"))
    instance = free_instance("broken", tmp_path / "state")
    with pytest.MonkeyPatch.context() as impatient:
        impatient.setattr(embedded, "READY_WITHIN", 5)
        try:
            with pytest.raises(PlatformFailed, match=r"(?s)did not become ready.*finds no peace"):
                replace(cluster, instance=instance, binary=broken).up()
        finally:
            engine.remove_all(cluster.client, instance)
