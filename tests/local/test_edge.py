"""Users notice nothing: through the edge, on a cluster of its own, with the manifests that are released."""

import json
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import httpx
import pytest
import yaml

from deployments.local.cluster import cluster as embedded
from deployments.local.cluster import kubernetes_binary
from deployments.local.docker import engine, images
from deployments.local.docker.engine import Container
from deployments.local.network import dns_server, edge
from deployments.local.platform_file import WrittenSettings
from flows.config.load import CHECKOUT, load_as
from flows.core.build.image import Image
from flows.services.kubernetes import manifests
from flows.services.kubernetes.manifests import Overlay
from tests.local.cluster_under_test import Cluster
from tests.support.load import Seen, load
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.own_cluster,
    pytest.mark.timeout(1800),
]  # the first test on a machine compiles Kubernetes

DEPLOYMENT = "classifier"
PULL_SECRET = "slipway-registry"
REPLICAS = 3
SMALL_SERVER = Path(__file__).with_name("small_server.py").read_text()
PICTURE = b"0" * 1000
Ask = Callable[..., dns.message.Message]


@dataclass(frozen=True)
class Environment:
    """A namespace of the cluster, as its users and its administrator see it."""

    cluster: Cluster
    name: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{edge.port(self.cluster.instance, self.name)}"

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments)

    def ready_pods(self) -> dict[str, str]:
        """The nodes of the pods that are to stay, by pod."""
        items = json.loads(self.kubectl("get", "pods", "--output=json"))["items"]
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in items
            if "deletionTimestamp" not in pod["metadata"]
            and {"type": "Ready", "status": "True"}.items() <= _condition(pod, "Ready").items()
        }

    def update(self) -> None:
        """Replace all pods, and wait until the old ones are gone."""
        old = self.ready_pods()
        self.kubectl("rollout", "restart", f"deployment/{DEPLOYMENT}")
        self.kubectl("rollout", "status", f"deployment/{DEPLOYMENT}", "--timeout=90s")
        self.kubectl("wait", "--for=delete", "--timeout=60s", *(f"pod/{pod}" for pod in old))


def _condition(pod: dict[str, Any], kind: str) -> dict[str, str]:
    conditions = pod["status"].get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == kind), {})


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    """The cluster with its edge and its DNS server; nothing is released."""
    _serve(cluster)
    return cluster


def _serve(cluster: Cluster) -> None:
    client, instance = cluster.client, cluster.instance
    dns_server.up(client, instance, images.ensure(client, images.DNS, print), print)
    edge.up(client, instance, images.ensure(client, images.EDGE, print), load_as(WrittenSettings), print)


@pytest.fixture(scope="module")
def production(served: Cluster) -> Environment:
    return _released(served, "production")


@pytest.fixture(scope="module")
def staging(served: Cluster) -> Environment:
    return _released(served, "staging")


@pytest.fixture
def whole(served: Cluster) -> Iterator[None]:
    """Puts the worker right, however the test left it."""
    yield
    served.container("worker").start()
    wait_until(lambda: _is_ready(served, "worker"), "The worker is not ready")
    served.kubectl("uncordon", "worker")


def _is_ready(cluster: Cluster, node: str) -> bool:
    return any(s.ready for s in embedded.status(cluster.client, cluster.instance) if s.name == node)


def _all_answered(seen: Seen, pods: Collection[str]) -> bool:
    return set(pods) <= set(seen.pods)


def _released(cluster: Cluster, name: str) -> Environment:
    """The overlay of that name with the small server for an app, where only restricted pods are let in."""
    access, reference = cluster.base_image()
    repository, _, digest = reference.partition("@")
    overlay = Overlay(CHECKOUT / "deployments" / "kubernetes", name, name, DEPLOYMENT, REPLICAS)
    kubectl = str(kubernetes_binary.kubectl(cluster.binary))
    rendered = manifests.render(overlay, Image(repository, digest), kubectl, origin="the overlay")
    [deployment] = [item for item in rendered.objects if item["kind"] == "Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["command"] = ["python3", "-c", SMALL_SERVER]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    login = {"auths": {access.address: {"username": access.pull_username, "password": access.pull_password}}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": PULL_SECRET, "namespace": name},
        "stringData": {".dockerconfigjson": json.dumps(login)},
    }
    cluster.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all([namespace, secret, *rendered.objects]))
    found = Environment(cluster, name)
    found.kubectl("rollout", "status", f"deployment/{DEPLOYMENT}", "--timeout=90s")
    wait_until(lambda: httpx.get(found.url, trust_env=False).is_success, f"{name} does not answer")
    return found


def test_before_a_release_the_edge_says_that_nothing_is_ready(served: Cluster) -> None:
    for name in edge.listeners(served.instance.ports):
        answer = httpx.get(Environment(served, name).url, trust_env=False)
        assert (answer.status_code, answer.text) == (503, "No replica is ready to answer.\n")


@pytest.mark.parametrize("ask", [dns.query.udp, dns.query.tcp])
def test_every_name_of_the_domain_is_this_machine(served: Cluster, ask: Ask) -> None:
    question = dns.message.make_query("staging.slipway.test", "A")
    answer = ask(question, "127.0.0.1", port=served.instance.ports.dns_port, timeout=5)
    assert [str(record) for found in answer.answer for record in found] == ["127.0.0.1"]


def test_the_environments_answer_side_by_side_with_all_their_replicas(
    production: Environment, staging: Environment
) -> None:
    for environment in (production, staging):
        pods = environment.ready_pods()
        assert len(pods) == REPLICAS
        assert set(pods.values()) == {"control-plane", "worker"}
        with load(environment.url, rate=50) as seen:
            wait_until(partial(_all_answered, seen, pods), f"A replica in {environment.name} is silent")
        assert set(seen.pods) == set(pods)
        assert seen.failed == 0, str(seen)


def test_a_killed_edge_and_dns_server_come_back(production: Environment) -> None:
    for role in (edge.ROLE, dns_server.ROLE):
        production.cluster.container(role).kill()
    _serve(production.cluster)
    wait_until(lambda: httpx.get(production.url, trust_env=False).is_success, "No answer")


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/Metrics?name=x"])
def test_metrics_are_closed_to_users(production: Environment, path: str) -> None:
    answer = httpx.get(f"{production.url}{path}", trust_env=False)
    assert (answer.status_code, answer.text) == (403, "Metrics are read inside the cluster.\n")


def test_a_rolling_update_fails_no_request(production: Environment) -> None:
    with load(production.url) as seen, load(f"{production.url}/slow", rate=20) as slow:
        production.update()
    print(f"Rolling update: {seen}; slow ones: {slow}")
    assert seen.failed == slow.failed == 0


@pytest.mark.slow
@pytest.mark.usefixtures("whole")
def test_a_drain_fails_no_request(production: Environment) -> None:
    with load(production.url) as seen, load(f"{production.url}/slow", rate=20) as slow:
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s")
        production.cluster.kubectl("drain", "worker", *options)
        wait_until(lambda: len(production.ready_pods()) == REPLICAS, "The replicas were not replaced")
    print(f"Drain: {seen}; slow ones: {slow}")
    assert set(production.ready_pods().values()) == {"control-plane"}
    assert seen.failed == slow.failed == 0


@pytest.mark.slow
@pytest.mark.usefixtures("whole")
def test_a_node_may_die_and_return_at_another_address_without_a_failed_get(
    production: Environment,
) -> None:
    production.update()
    assert set(production.ready_pods().values()) == {"control-plane", "worker"}
    worker, before = production.cluster.container("worker"), production.cluster.address("worker")
    with (
        load(production.url, rate=60) as seen,
        load(f"{production.url}/slow", rate=30) as slow,
        load(production.url, rate=20, body=PICTURE) as posted,
    ):
        wait_until(lambda: seen.total > 60, "The load did not begin")
        began = time.monotonic()
        worker.kill()
        wait_until(
            lambda: [*production.ready_pods().values()] == ["control-plane"] * REPLICAS,
            "The replicas were not replaced",
        )
        replaced = time.monotonic() - began
    print(f"Death of the worker: {seen}; slow ones: {slow}; POST: {posted}; replaced after {replaced:.1f} s")
    assert seen.failed == slow.failed == 0

    _take_the_address(production.cluster)
    with load(production.url) as seen:
        worker.start()
        wait_until(lambda: _is_ready(production.cluster, "worker"), "The worker is not ready")
        production.update()
        on_worker = {pod for pod, node in production.ready_pods().items() if node == "worker"}
        wait_until(partial(_all_answered, seen, on_worker), "The worker's replicas are silent")
    print(f"Return of the worker: {seen}")
    assert on_worker
    assert seen.failed == 0
    assert production.cluster.address("worker") != before


def _take_the_address(cluster: Cluster) -> None:
    """A container that is given the address of the node that does not run."""
    image = images.ensure(cluster.client, images.BASE, print)
    other = Container(role="other", image=image, command=("sleep", "infinity"))
    engine.ensure_container(cluster.client, cluster.instance, other)
