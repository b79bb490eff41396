"""Who is who in the embedded cluster: certificates and kubeconfigs, in the state folder.

Every node holds only its own; the administrator's kubeconfig is for the machine, and the authority's key
is mounted nowhere.
"""

import base64
import hashlib
import ssl
from pathlib import Path

import yaml

from deployments.local.cluster.certificates import Authority, Subject, ensure_authority
from deployments.local.instance import Instance
from flows.config.load import EMBEDDED
from flows.services.process.files import write_private

API_PORT = 6443
API_HOSTS = (
    "127.0.0.1",
    "10.96.0.1",  # inside the cluster: the first of the service network
    "localhost",
    "control-plane",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
)


def ensure_control_plane(instance: Instance) -> Path:
    """The folder that the control plane sees as /etc/kubernetes."""
    authority = _authority(instance)
    folder = ensure_node(instance, "control-plane")
    authority.ensure(folder, "apiserver", Subject("kube-apiserver", hosts=API_HOSTS))
    authority.ensure(folder, "apiserver-kubelet", Subject("kube-apiserver", "system:masters"))
    authority.ensure(folder, "service-accounts", Subject("service-accounts"))
    for component in ("controller-manager", "scheduler"):
        _ensure_user(authority, folder, component, Subject(f"system:kube-{component}"))
    return folder


def ensure_node(instance: Instance, name: str) -> Path:
    """The folder that the node of that name sees as /etc/kubernetes."""
    authority = _authority(instance)
    folder = _folder(instance) / name
    write_private(folder / "ca.crt", authority.certificate)
    _ensure_user(authority, folder, "kubelet", Subject(f"system:node:{name}", "system:nodes", hosts=(name,)))
    _ensure_user(authority, folder, "proxy", Subject("system:kube-proxy"))
    return folder


def ensure_kubeconfig(instance: Instance) -> Path:
    """The administrator's kubeconfig for this machine, with `embedded` as its context."""
    authority = _authority(instance)
    folder = _folder(instance) / "administrator"
    server = f"https://127.0.0.1:{instance.ports.kubernetes_port}"
    authority.ensure(folder, "administrator", Subject("administrator", "system:masters"))
    write_private(kubeconfig(instance), _kubeconfig(authority, folder, "administrator", server))
    return kubeconfig(instance)


def kubeconfig(instance: Instance) -> Path:
    """Where the administrator's kubeconfig lies, once there is a cluster."""
    return instance.state / "kubeconfig"


def administrator(instance: Instance) -> ssl.SSLContext:
    """What a client on this machine needs to trust the API server and to be trusted by it."""
    folder = _folder(instance)
    context = ssl.create_default_context(cafile=folder / "authority" / "ca.crt")
    stem = folder / "administrator" / "administrator"
    context.load_cert_chain(stem.with_suffix(".crt"), stem.with_suffix(".key"))
    return context


def digest(folder: Path) -> str:
    """Changes when a file of the folder does."""
    hashed = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        hashed.update(f"{file.name}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return hashed.hexdigest()


def _authority(instance: Instance) -> Authority:
    return ensure_authority(_folder(instance) / "authority")


def _folder(instance: Instance) -> Path:
    return instance.state / "kubernetes"


def _ensure_user(authority: Authority, folder: Path, stem: str, subject: Subject) -> None:
    authority.ensure(folder, stem, subject)
    content = _kubeconfig(authority, folder, stem, f"https://control-plane:{API_PORT}")
    write_private(folder / f"{stem}.kubeconfig", content)


def _kubeconfig(authority: Authority, folder: Path, user: str, server: str) -> bytes:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": EMBEDDED,
        "contexts": [{"name": EMBEDDED, "context": {"cluster": EMBEDDED, "user": user}}],
        "clusters": [
            {
                "name": EMBEDDED,
                "cluster": {"server": server, "certificate-authority-data": _base64(authority.certificate)},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _base64((folder / f"{user}.crt").read_bytes()),
                    "client-key-data": _base64((folder / f"{user}.key").read_bytes()),
                },
            }
        ],
    }
    return yaml.safe_dump(config, sort_keys=False).encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
