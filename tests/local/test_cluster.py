import json
import stat
from dataclasses import replace
from pathlib import Path
from string import Template

import httpx
import pytest

from deployments.local.cluster import cluster as embedded
from deployments.local.cluster import kubernetes_binary
from deployments.local.cluster.cluster import NodeStatus
from deployments.local.cluster.nodes import NODES
from deployments.local.docker import engine, pause_image
from flows.config.load import EMBEDDED
from flows.core.errors import PlatformFailed
from flows.services.process.tls import NO_TLS
from tests.local.cluster_under_test import Cluster, free_instance
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.own_cluster,
    pytest.mark.timeout(1800),
]  # the first test on a machine compiles Kubernetes

NODE_NAMES = [node.role for node in NODES]
NOT_RUNNING = "its container does not run"
WORKLOAD = Path(__file__).with_name("workload.yaml")
NODE_PORT = 30090
"""Where the workload answers on every node, whichever node its pod is on."""


def pods(cluster: Cluster) -> set[str]:
    names = "--output=jsonpath={.items[*].metadata.name}"
    return set(cluster.kubectl("get", "pods", "--selector=app=web", names).split())


def answer(cluster: Cluster) -> str:
    """The name of the pod that answered; empty if none did."""
    try:
        app = f"http://{cluster.address('control-plane')}:{NODE_PORT}"
        return httpx.get(app, timeout=1, trust_env=False, verify=NO_TLS).text.strip()
    except httpx.TransportError:
        return ""


def expect_answers_from_every_pod(cluster: Cluster) -> None:
    silent: set[str] = set()

    def all_answered() -> bool:
        silent.discard(answer(cluster))
        return not silent

    wait_until(lambda: answer(cluster) != "", otherwise="The workload does not answer")
    silent |= pods(cluster)
    wait_until(all_answered, otherwise=f"These pods don't answer: {silent}")


@pytest.fixture(scope="session")
def workload(cluster: Cluster) -> None:
    """A replica on each node, from an image that the registry gives only for the password."""
    access, image = cluster.base_image()
    login = {"auths": {access.address: {"username": access.pull_username, "password": access.pull_password}}}
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


@pytest.mark.parametrize("node", NODE_NAMES)
def test_a_node_deletes_images_without_a_container_and_keeps_the_sandbox_image(
    cluster: Cluster, node: str
) -> None:
    settings = json.loads(cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"))
    assert settings["kubeletconfig"]["imageMaximumGCAge"] == "6h0m0s"
    of_pods = f'labels."io.cri-containerd.kind"==container,image=={pause_image.NAME}'
    listed = ["ctr", "--namespace=k8s.io", "containers", "list", "--quiet", of_pods]

    def is_used() -> bool:
        ended = cluster.container(node).exec_run(listed)
        return ended.exit_code == 0 and bool(ended.output)

    wait_until(is_used, "No pod uses the sandbox image")


def test_a_healthy_cluster_is_left_alone(cluster: Cluster) -> None:
    before = cluster.starts()
    cluster.up()
    assert cluster.starts() == before


@pytest.mark.usefixtures("workload")
def test_pods_of_both_nodes_answer_at_the_node_port(cluster: Cluster) -> None:
    assert len(pods(cluster)) == len(NODES)
    expect_answers_from_every_pod(cluster)


@pytest.mark.usefixtures("workload")
def test_logs_and_commands_reach_pods_on_both_nodes(cluster: Cluster) -> None:
    for pod in pods(cluster):
        assert cluster.kubectl("exec", pod, "--", "hostname") == f"{pod}\n"
        assert "GET /" in cluster.kubectl("logs", pod)


@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("killed", [["worker"], ["control-plane"], NODE_NAMES], ids=" and ".join)
def test_killed_nodes_come_back_with_their_pods(cluster: Cluster, killed: list[str]) -> None:
    before = pods(cluster)
    for name in killed:
        cluster.container(name).kill()
    cluster.up()
    assert all(node.ready for node in embedded.status(cluster.client, cluster.instance))
    expect_answers_from_every_pod(cluster)
    assert pods(cluster) == before


@pytest.mark.usefixtures("workload")
def test_a_removed_node_comes_back_with_its_pods(cluster: Cluster) -> None:
    before = pods(cluster)
    cluster.container("worker").remove(force=True)
    cluster.up()
    expect_answers_from_every_pod(cluster)
    assert pods(cluster) == before


@pytest.mark.usefixtures("workload")
def test_nodes_that_docker_restarts_find_each_others_pods_at_new_addresses(cluster: Cluster) -> None:
    for name in NODE_NAMES:
        cluster.container(name).stop(timeout=10)
    for name in reversed(NODE_NAMES):  # each is given the address that the other had
        cluster.container(name).start()
    expect_answers_from_every_pod(cluster)


@pytest.mark.usefixtures("workload")
def test_a_stopped_cluster_comes_back_as_it_was(cluster: Cluster) -> None:
    before = pods(cluster)
    engine.remove_containers(cluster.client, cluster.instance)
    assert [node.reason for node in embedded.status(cluster.client, cluster.instance)] == [NOT_RUNNING] * 2
    cluster.up()
    expect_answers_from_every_pod(cluster)
    assert pods(cluster) == before


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
