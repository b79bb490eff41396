"""A cluster whose autoscaler adds a node: what its API server answers to a watch, as a test sets it.

The embedded cluster has no autoscaler. Only reading is understood: objects by path, events by field selector.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flows.services.kubernetes.cluster import Cluster
from tests.core.rollouts import READY, event
from tests.stand_ins.http_server import JsonHandler, serving
from tests.support.kubeconfig import kubeconfig

Json = dict[str, Any]
CONTEXT, NAMESPACE = "scaling", "staging"
NOMINATED = event("Nominated", "Pod should schedule on: nodeclaim/default-x7k")
REVISION = {"deployment.kubernetes.io/revision": "1"}


@dataclass
class ScalingCluster:
    """What there is, by the plural of its kind, and the field selectors by which events were asked for."""

    deployments: dict[str, Json]
    replicasets: list[Json] = field(default_factory=list)
    pods: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def answer(self, path: str, query: dict[str, list[str]]) -> Json | None:
        """The object or list at that path."""
        *_, plural, name = path.rsplit("/", 2)
        if plural == "deployments":
            return self.deployments.get(name)
        if name == "events":
            selector = query.get("fieldSelector", [""])[0]
            self.asked.add(selector)
            key, _, value = selector.partition("=")
            found = [e for e in self.events if not selector or (key == "reason" and e[key] == value)]
            return {"items": found}
        if name == "v1":  # discovery
            return {"resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True}]}
        return {"items": {"replicasets": self.replicasets, "pods": self.pods}[name]}


def one_replica(*pods: Json, events: tuple[Json, ...] = ()) -> ScalingCluster:
    """A Deployment `web` of one replica, which is not ready yet, with these pods."""
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "web", "uid": "web", "generation": 1, "annotations": REVISION},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "app", "image": "registry/app@sha256:1"}]}},
        },
        "status": {"observedGeneration": 1},
    }
    owner = {"metadata": {"uid": "new", "annotations": REVISION, "ownerReferences": [{"uid": "web"}]}}
    return ScalingCluster({"web": deployment}, [owner], list(pods), list(events))


def make_room(made: ScalingCluster) -> None:
    """The node is there, and the pod runs on it."""
    made.pods[:] = [READY]
    counted = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}
    made.deployments["web"]["status"] = counted


@contextmanager
def scaling_cluster(made: ScalingCluster, deployment: str, folder: Path) -> Iterator[Cluster]:
    """A client of it, for the app of that name."""

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            found = made.answer(url.path, parse_qs(url.query))
            self.answer(404 if found is None else 200, found or {"message": "not found"})

    with serving(Handler) as address:
        yield Cluster(kubeconfig(folder, CONTEXT, address), CONTEXT, NAMESPACE, deployment)
