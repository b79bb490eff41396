"""Stands in for the API server of a cluster that was prepared for an environment, as the doctor asks it."""

import gzip
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from flows.config.version import CLUSTER_OBJECTS, cluster_edition
from flows.core.doctor.rights import granted_rules
from flows.core.release.record import Record
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.own_certificate import own_certificate

ACCOUNT = "system:serviceaccount:production:slipway-release"
DENIED = "ValidatingAdmissionPolicy '{0}-production' with binding '{0}-production' denied request: {1}"
FENCED = DENIED.format("slipway-fence", "the Lease is held as ''")
NOT_ALLOWED = DENIED.format("slipway-pods", "image slipway.invalid/probe:foreign")


def _rules() -> list[Any]:
    return [*granted_rules(yaml.safe_load_all((CLUSTER_OBJECTS / "account.yaml").read_text()))]


@dataclass
class DoctorsCluster:
    """`kubeconfig` leads there. `fence` and `pods` are the refusals of a write without the Lease, and of a
    foreign pod; None: it is let in."""

    kubeconfig: str = ""
    login: str = "a-token-of-the-login"
    token: str = "a-token-of-the-account"
    rules: list[Any] = field(default_factory=_rules)
    incomplete: bool = False
    edition: str = field(default_factory=cluster_edition)
    fence: str | None = FENCED
    pods: str | None = FENCED
    holder: str | None = None
    quota: str | None = None
    """The refusal of a pod by a quota; None: it is let in, and pulls its image."""
    pull: dict[str, Any] = field(default_factory=lambda: {"imageID": "sha256:1", "state": {"terminated": {}}})
    """The status of a pod's container, which has pulled its image."""
    beside: list[dict[str, Any]] = field(default_factory=list)
    """Those of containers that a webhook puts into every pod."""
    records: list[Record] = field(default_factory=list)
    """What its releases left, the newest first."""
    pods_of: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, token: str, content: bytes = b"") -> tuple[int, Any]:
        """Status and JSON."""
        self.asked.append((method, path))
        where = path.partition("?")[0]
        if where == "/version":
            return 200, {"gitVersion": "v1.34.0"}
        if where.endswith("/serviceaccounts/slipway-release/token") and token == f"Bearer {self.login}":
            return 201, {"status": {"token": self.token}, "spec": {"expirationSeconds": 3600}}
        if token != f"Bearer {self.token}":
            return 401, {"kind": "Status", "message": "Unauthorized"}
        if "/pods" in where:
            return self._pods(method, where.partition("/pods")[2].strip("/"), content)
        match where.rpartition("/")[2]:
            case "selfsubjectreviews":
                return 201, {"status": {"userInfo": {"username": ACCOUNT}}}
            case "selfsubjectrulesreviews":
                return 201, {"status": {"resourceRules": self.rules, "incomplete": self.incomplete}}
            case "configmaps":
                return _refused(self.fence)
            case "deployments":
                return _refused(NOT_ALLOWED if self.holder and self.pods else self.pods)
            case "secrets":
                return 200, {"items": [_stored(record) for record in self.records]}
            case "slipway-release":
                return 200, {"spec": {"holderIdentity": self.holder, "leaseTransitions": 3}}
            case "production":
                return 200, {"metadata": {"annotations": {"slipway.dev/prepared": self.edition}}}
        return 200, {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}}

    def _pods(self, method: str, name: str, content: bytes) -> tuple[int, Any]:
        if method == "POST":
            if self.quota is not None:
                return _refused(self.quota)
            pod = json.loads(content)
            metadata = {**pod["metadata"], "uid": "1", "resourceVersion": "1"}
            ours = {"name": pod["spec"]["containers"][0]["name"], **self.pull}
            status = {"containerStatuses": [*self.beside, ours]}
            self.pods_of[metadata["name"]] = {**pod, "metadata": metadata, "status": status}
            return 201, {}
        if not name:
            return 200, {"items": list(self.pods_of.values())}
        found = self.pods_of.get(name)
        if found is None:
            return 404, {}
        if method == "DELETE":
            del self.pods_of[name]
        return 200, found


def _stored(record: Record) -> dict[str, Any]:
    content = b64encode(gzip.compress(json.dumps(record.to_json()).encode())).decode()
    return {"metadata": {"name": f"slipway-release-{record.number}"}, "data": {"release": content}}


def _refused(message: str | None) -> tuple[int, Any]:
    if message is None:
        return 201, {"metadata": {}}
    return 403, {"kind": "Status", "message": message}


@contextmanager
def doctors_cluster() -> Iterator[DoctorsCluster]:
    """On loopback, by https, until the block ends."""
    cluster, own = DoctorsCluster(), own_certificate()

    class Handler(JsonHandler):
        def do(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "")
            self.answer(*cluster.answer(self.command, self.path, token, content))

        do_GET = do_POST = do_DELETE = do

    with serving(Handler, own.server) as address:
        authority = b64encode(own.authority).decode()
        content = {
            "current-context": "there",
            "contexts": [{"name": "there", "context": {"cluster": "there", "user": "slipway-login"}}],
            "clusters": [
                {"name": "there", "cluster": {"server": address, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "slipway-login", "user": {"token": cluster.login}}],
        }
        cluster.kubeconfig = yaml.safe_dump(content)
        yield cluster
