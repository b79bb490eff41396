"""A namespace of the test cluster that an administrator has prepared, and both ways into it."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from deployments.cluster import bootstrap, manifests
from deployments.cluster.rules import Rules
from deployments.local.cluster import kubernetes_binary
from flows.config.load import EMBEDDED
from flows.services.kubernetes.account import ACCOUNT, LOGIN
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.kubeconfig import access
from flows.services.process.files import write_private
from flows.services.registry.auth import Credentials
from tests.stand_ins.unreliable_network import UnreliableLine, breaking_line, stalling_line

ALLOWED = ("nowhere.test/app", "nowhere.test/web", "registry.test/app")
"""Images that tests name, and no registry has; the base image stands for the app's."""

TRUSTED = "trusted"
"""A service account whose token pods may have; the test makes it."""


@dataclass(frozen=True)
class Namespace:
    """`account` is what releases have; `admin` may do anything."""

    admin: Cluster
    account: Cluster
    program: str

    def kubectl(self, *arguments: str) -> str:
        """What kubectl says to the administrator."""
        admin = self.admin
        way = (f"--kubeconfig={admin.kubeconfig}", f"--namespace={admin.namespace}")
        done = subprocess.run(
            [self.program, *way, *arguments], check=True, stdout=subprocess.PIPE, text=True, timeout=60
        )
        return done.stdout

    def data(self, name: str) -> dict[str, str] | None:
        """What a ConfigMap holds; None where there is none."""
        found = self.admin.api.get(self.admin.path("api/v1", "configmaps", name))
        return found.get("data", {}) if found else None


def rules_for(name: str, login: Credentials) -> Rules:
    """Those of the namespace of that name, for the environment `test`."""
    return Rules("test", name, f"{login.address}/slipway/base", ALLOWED, (TRUSTED,))


@contextmanager
def prepared_namespace(administrators: Path, folder: Path, login: Credentials) -> Iterator[Namespace]:
    """A new one; it goes with all that was created for it."""
    program = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    name = f"test-{uuid.uuid4().hex[:8]}"
    admin = Cluster(administrators, EMBEDDED, name, "web")
    bootstrap.create(admin, rules_for(name, login), login)
    workers, _ = bootstrap.login_kubeconfig(admin)
    bootstrap.await_fence(replace(admin, kubeconfig=access(workers, LOGIN)))
    file = folder / "account.kubeconfig"
    write_private(file, bootstrap.login_kubeconfig(admin, ACCOUNT)[0])
    found = Namespace(admin, replace(admin, kubeconfig=file), program)
    try:
        yield found
    finally:
        policies = [
            f"{kind}/slipway-{what}-{name}"
            for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy")
            for what in manifests.POLICIES
        ]
        found.kubectl("delete", "--wait=false", "--ignore-not-found", f"namespace/{name}", *policies)


@contextmanager
def line_to(
    cluster: Cluster, folder: Path, *, stalls: bool = False
) -> Iterator[tuple[UnreliableLine, Cluster]]:
    """A line to the API server that can be broken, or that can fall silent, and the cluster at its end."""
    assert isinstance(cluster.kubeconfig, Path)
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    server = config["clusters"][0]["cluster"]
    host, _, port = server["server"].rpartition(":")
    with (stalling_line if stalls else breaking_line)(int(port)) as line:
        server["server"] = f"{host}:{line.port}"
        file = folder / "line.kubeconfig"
        write_private(file, yaml.safe_dump(config))
        yield line, replace(cluster, kubeconfig=file)


def config_map(name: str, **data: str) -> dict[str, Any]:
    """An object to apply."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
