"""A real API server without nodes and controllers; it believes the tokens of the stand-in for Entra ID."""

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from deployments.cluster import manifests
from deployments.cluster.rules import Rules
from deployments.local.cluster import kubernetes_binary
from deployments.local.cluster.certificates import Subject, ensure_authority
from flows.core.errors import ClusterUnavailable
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.fence import LEASES
from flows.services.process.files import write_private
from tests.app.server import free_ports
from tests.stand_ins.entra import Entra
from tests.support.waiting import wait_until

CONTEXT = "test"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class ApiServer:
    """Where it is; `authority` is PEM, and `kubeconfig` an administrator's."""

    address: str
    authority: bytes
    kubeconfig: Path

    def prepared(self, namespace: str, login: str | None = None) -> Cluster:
        """A namespace as the bootstrap prepares it, for an administrator; without a controller, no quota
        would ever be counted."""
        admin = Cluster(self.kubeconfig, CONTEXT, namespace, "web")
        rules = Rules("test", namespace, "registry.test/app", login=login)
        admin.set_up([one for one in manifests.objects(rules, None) if one["kind"] != "ResourceQuota"])
        admin.api.create(admin.path(LEASES, "leases"), manifests.new_lease())
        return admin


@contextmanager
def api_server(folder: Path, directory: Entra, audience: str) -> Iterator[ApiServer]:
    """Both, on free ports; to the server, a user is the object id in the directory."""
    etcd, peer, secure = free_ports(3)
    certificates = ensure_authority(folder)
    certificates.ensure(folder, "apiserver", Subject("kube-apiserver", hosts=(HOST, "localhost")))
    certificates.ensure(folder, "administrator", Subject("administrator", "system:masters"))
    believed = folder / "authentication.yaml"
    believed.write_text(yaml.safe_dump(_authentication(directory, audience)))
    address = f"https://{HOST}:{secure}"
    found = ApiServer(address, certificates.certificate, folder / "kubeconfig")
    write_private(found.kubeconfig, yaml.safe_dump(_kubeconfig(folder, found)))
    program = kubernetes_binary.ensure(print)
    with ExitStack() as running:
        running.enter_context(_running(folder, program, "etcd", *_etcd(folder, etcd, peer)))
        running.enter_context(
            _running(folder, program, "kube-apiserver", *_server(folder, etcd, secure, believed))
        )
        _await(found)
        yield found


def _etcd(folder: Path, client: int, peer: int) -> tuple[str, ...]:
    return (
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://{HOST}:{client}",
        f"--advertise-client-urls=http://{HOST}:{client}",
        f"--listen-peer-urls=http://{HOST}:{peer}",
        "--unsafe-no-fsync",
    )


def _server(folder: Path, etcd: int, secure: int, believed: Path) -> tuple[str, ...]:
    return (
        f"--etcd-servers=http://{HOST}:{etcd}",
        f"--bind-address={HOST}",
        f"--secure-port={secure}",
        f"--client-ca-file={folder / 'ca.crt'}",
        f"--tls-cert-file={folder / 'apiserver.crt'}",
        f"--tls-private-key-file={folder / 'apiserver.key'}",
        f"--service-account-issuer=https://{HOST}",
        f"--service-account-key-file={folder / 'apiserver.crt'}",
        f"--service-account-signing-key-file={folder / 'apiserver.key'}",
        f"--authentication-config={believed}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.99.0.0/24",
    )


def _authentication(directory: Entra, audience: str) -> dict[str, object]:
    issuer = {
        "url": f"https://sts.windows.net/{directory.tenant}/",
        "discoveryURL": f"{directory.url}/{directory.tenant}/.well-known/openid-configuration",
        "audiences": [audience],
        "certificateAuthority": ensure_authority(directory.folder).certificate.decode(),
    }
    claims = {"username": {"claim": "oid", "prefix": ""}}
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{"issuer": issuer, "claimMappings": claims}],
    }


def _kubeconfig(folder: Path, server: ApiServer) -> dict[str, object]:
    authority = base64.b64encode(server.authority).decode()
    cluster = {"server": server.address, "certificate-authority-data": authority}
    user = {
        "client-certificate": str(folder / "administrator.crt"),
        "client-key": str(folder / "administrator.key"),
    }
    return {
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
    }


@contextmanager
def _running(folder: Path, program: Path, name: str, *arguments: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, name, *arguments], stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "1"}
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _await(server: ApiServer) -> None:
    api = Cluster(server.kubeconfig, CONTEXT, "default", "").api

    def is_ready() -> bool:
        try:
            return api.text("/readyz") == "ok" and api.get("/api/v1/namespaces/default") is not None
        except ClusterUnavailable:
            return False

    wait_until(is_ready, "the API server does not become ready")
