"""Where the API server keeps objects of a kind, as its discovery documents say."""

from dataclasses import dataclass, field

from flows.core.rollout.snapshot import Object
from flows.services.kubernetes.api import KubernetesApi, rejected


@dataclass(frozen=True)
class Resource:
    """One kind: its name in paths, and whether its objects live in namespaces."""

    plural: str
    namespaced: bool


@dataclass(frozen=True)
class Discovery:
    """The kinds that a server knows, each group asked for once."""

    api: KubernetesApi
    _known: dict[tuple[str, str], Resource] = field(default_factory=dict)

    def path(self, item: Object, namespace: str) -> str:
        """The object's path on the server; `ManifestsRejected` where the server does not know its kind, or
        where the object names another namespace."""
        resource = self._resource(item["apiVersion"], item["kind"])
        name, own = item["metadata"]["name"], item["metadata"].get("namespace", namespace)
        if resource.namespaced and own != namespace:
            raise rejected(f"{item['kind']} {name} is for namespace {own!r}, not {namespace!r}")
        within = f"/namespaces/{namespace}" if resource.namespaced else ""
        return f"/{_group(item['apiVersion'])}{within}/{resource.plural}/{name}"

    def _resource(self, version: str, kind: str) -> Resource:
        if (version, kind) not in self._known:
            listed = self.api.get(f"/{_group(version)}") or {"resources": []}
            for entry in listed["resources"]:
                if "/" not in entry["name"]:  # no subresource, as deployments/scale is
                    self._known[version, entry["kind"]] = Resource(entry["name"], entry["namespaced"])
        if (version, kind) not in self._known:
            raise rejected(f"it knows no kind {kind!r} of {version}")
        return self._known[version, kind]


def _group(version: str) -> str:
    return f"apis/{version}" if "/" in version else f"api/{version}"
