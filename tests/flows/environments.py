"""An environment as tests look into it and spoil it: as an administrator, behind the flows' back."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from deployments.local.network import edge
from flows.config import load as configuration
from flows.config.load import CHECKOUT
from flows.core.release.environment_state import EnvironmentState
from flows.core.release.record import Record
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.fence import LEASE
from flows.services.kubernetes.release_store import Records
from flows.services.process.tls import NO_TLS
from flows.stages.clusters import cluster_of
from tests.support import worker
from tests.support.commits import commit_all
from tests.support.frozen import frozen
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.waiting import wait_until

MANIFESTS = CHECKOUT / "deployments" / "kubernetes"
OURS = "deployments,services,poddisruptionbudgets,networkpolicies,configmaps,secrets"


@dataclass(frozen=True)
class Place:
    """One environment of the test platform."""

    name: str

    @property
    def cluster(self) -> Cluster:
        """As an administrator."""
        return cluster_of(configuration.load(), self.name)

    def kubectl(self, *arguments: str) -> str:
        """What kubectl says."""
        cluster = self.cluster
        where = (f"--kubeconfig={cluster.kubeconfig}", f"--context={cluster.context}")
        command = [configuration.load().kubectl, *where, f"--namespace={cluster.namespace}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def empty(self) -> None:
        """As before the first release: no object, no record, no note, no lock."""
        self.kubectl("delete", OURS, "--selector=app.kubernetes.io/managed-by=slipway", "--wait=false")
        self.kubectl("delete", "pods", "--all", "--force", "--grace-period=0")
        self.kubectl("delete", "secrets", "--field-selector=type=slipway.dev/release.v1", "--wait=true")
        self.kubectl("delete", "configmap", "slipway-environment", "--ignore-not-found")
        wait_until(lambda: not self.pods(), "pods are left")

    def pods(self, phase: str = "") -> list[str]:
        """Names of all pods, or of those in that phase; those that are ending are among them."""
        cluster = self.cluster
        listed = cluster.api.get(cluster.path("api/v1", "pods"))
        assert listed
        found = (item for item in listed["items"] if not phase or item["status"]["phase"] == phase)
        return [item["metadata"]["name"] for item in found]

    def generation(self) -> int:
        """How often what the Deployment asks for was changed."""
        deployment = self.cluster.find_deployment()
        assert deployment
        return int(deployment["metadata"]["generation"])

    def is_rolling_out(self, run: str) -> bool:
        """Whether the Deployment is as that flow run applied it, and has a new pod already."""
        deployment = self.cluster.find_deployment()
        assert deployment
        meta, status = deployment["metadata"], deployment["status"]
        is_seen = status.get("observedGeneration") == meta["generation"]
        is_its = meta["annotations"].get("slipway.dev/run") == run
        return bool(is_its and is_seen and status.get("updatedReplicas"))

    def objects(self) -> set[tuple[str, str]]:
        """Kind and name of everything that releases put here."""
        listed = self.kubectl(
            *("get", OURS, "--selector=app.kubernetes.io/managed-by=slipway", "--output=json")
        )
        return {(item["kind"], item["metadata"]["name"]) for item in json.loads(listed)["items"]}

    def history(self) -> list[Record]:
        """The recorded releases, newest first."""
        return Records(self.cluster).history()

    def verdicts(self) -> list[str]:
        """Of the recorded releases, newest first."""
        return [record.verdict for record in self.history()]

    def holder(self) -> str:
        """The run that holds the lock, "" where none does."""
        cluster = self.cluster
        found = cluster.api.get(cluster.path("apis/coordination.k8s.io/v1", "leases", LEASE))
        assert found
        return str(found["spec"].get("holderIdentity") or "")

    def notes(self) -> EnvironmentState:
        """Hold and marks."""
        return Records(self.cluster).notes()

    def version(self) -> dict[str, Any]:
        """What users are answered by /version, through the edge."""
        answer = httpx.get(f"{self.url}/version", trust_env=False, verify=NO_TLS, timeout=10)
        content: dict[str, Any] = answer.raise_for_status().json()
        return content

    def answers(self) -> bool:
        """Whether users are answered; one whose edge is just being started is not."""
        try:
            return bool(self.version())
        except (httpx.TransportError, httpx.HTTPStatusError):
            return False

    @property
    def url(self) -> str:
        """The edge on loopback, for clients that don't ask the platform's DNS server."""
        port = urlsplit(configuration.load().environment(self.name).public_url).port
        return f"http://127.0.0.1:{port}"


@contextmanager
def without_api_server(platform: PlatformUnderTest) -> Iterator[None]:
    """The API server accepts connections and answers none, until the block ends."""
    with frozen(platform.instance, "kube-apiserver"):
        yield


QUICK_END = {
    "op": "replace",
    "path": "/spec/template/spec/containers/0/lifecycle/preStop/sleep/seconds",
    "value": 1,
}
"""Old replicas serve on for a second: who sends no requests meanwhile does not have to wait for five."""


def manifests_with(folder: Path, *operations: dict[str, Any], also: dict[str, Any] | None = None) -> Path:
    """The same as below, with a quick end of old replicas."""
    return manifests_as_they_are(folder, QUICK_END, *operations, also=also)


def manifests_as_they_are(
    folder: Path, *operations: dict[str, Any], also: dict[str, Any] | None = None
) -> Path:
    """A repository with the project's manifests; JSON patch operations change the Deployment of each overlay.

    `also` is one more object.
    """
    copy = folder / "kubernetes"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(MANIFESTS, copy)
    for file in (copy / "overlays").glob("*/kustomization.yaml"):
        content = yaml.safe_load(file.read_text())
        content["patches"] = [*content.get("patches", []), *_own_node_ports(file.parent.name)]
        patch = {"target": {"kind": "Deployment"}, "patch": yaml.safe_dump(list(operations))}
        if also is not None:
            (file.parent / "also.yaml").write_text(yaml.safe_dump(also))
            content["resources"] = [*content["resources"], "also.yaml"]
        if operations:
            content["patches"] = [*content["patches"], patch]
        file.write_text(yaml.safe_dump(content))
    commit_all(copy, "The manifests")
    return copy


def _own_node_ports(environment: str) -> list[dict[str, Any]]:
    """What puts the Service where the edge looks for this process's environment of that name."""
    port = worker.node_ports().get(worker.namespace(environment))
    if port is None:
        return []
    ports = {"/spec/ports/0/nodePort": port, "/spec/healthCheckNodePort": port + edge.HEALTH_CHECK}
    operations = [{"op": "replace", "path": path, "value": value} for path, value in ports.items()]
    return [{"target": {"kind": "Service"}, "patch": yaml.safe_dump(operations)}]


def behaving(how: str) -> dict[str, Any]:
    """The patch that has the team's app behave so."""
    variable = [{"name": "BEHAVIOUR", "value": how}]
    return {"op": "add", "path": "/spec/template/spec/containers/0/env", "value": variable}


def container(**changes: Any) -> tuple[dict[str, Any], ...]:
    """Patches that set fields of the app's container."""
    path = "/spec/template/spec/containers/0"
    return tuple({"op": "add", "path": f"{path}/{key}", "value": value} for key, value in changes.items())
