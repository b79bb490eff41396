"""What an administrator prepares in a cluster before the first release; in the embedded one that is us."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from deployments.cluster import manifests
from deployments.cluster.manifests import ACCOUNT, PULL_SECRET
from deployments.local.instance import Instance
from deployments.local.prefect import subprocesses
from deployments.local.prefect.server import client
from deployments.local.progress import Say
from deployments.local.stores.registry import RegistryAccess
from deployments.prefect.api import PrefectApi
from flows.config.load import EMBEDDED, Settings
from flows.config.schema import Environment
from flows.config.version import cluster_edition
from flows.core.errors import SlipwayError
from flows.core.rollout.snapshot import Object
from flows.services.kubernetes import kubeconfig as kubeconfigs
from flows.services.kubernetes.cluster import PREPARED, Cluster
from flows.services.kubernetes.fence import LEASE, LEASES
from flows.services.process.files import write_private
from flows.services.registry.auth import Credentials

RENEWED_BEFORE = timedelta(days=30)
"""How long before its end the account's token is renewed."""


def ensure(
    instance: Instance, settings: Settings, kubeconfig: Path, access: RegistryAccess | None, say: Say
) -> None:
    """All that releases to the environments on the embedded cluster need, as it has to be now."""
    names = [name for name, wanted in settings.environments.items() if wanted.context == EMBEDDED]
    with client(instance) as api:
        missing = [n for n in names if not _is_prepared(settings.environments[n], kubeconfig, access, api)]
    if missing:
        say(f"python -m deployments.cluster.bootstrap {' '.join(missing)}")
        subprocesses.run(
            instance,
            "deployments.cluster.bootstrap",
            *missing,
            failed="python -m deployments.cluster.bootstrap failed",
        )


def _is_prepared(
    wanted: Environment, kubeconfig: Path, access: RegistryAccess | None, api: PrefectApi
) -> bool:
    """False also where we can't tell: of another registry we don't know the password here."""
    cluster = Cluster(kubeconfig, EMBEDDED, wanted.namespace, deployment="")
    return (
        access is not None
        and _is_current(cluster)
        and _opens(cluster, access)
        and (wanted.credentials is None or _is_fenced(cluster, api.block("secret", wanted.credentials)))
    )


def _is_current(cluster: Cluster) -> bool:
    """Whether this edition was created and all of it is there still; the server heeds a deletion later."""
    namespace = cluster.api.get(f"/api/v1/namespaces/{cluster.namespace}")
    edition = namespace["metadata"].get("annotations", {}).get(PREPARED) if namespace else None
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
    kinds = (f"{policies}ies", f"{policies}ybindings")
    parts = [f"{kind}/slipway-{what}-{cluster.namespace}" for kind in kinds for what in ("fence", "secrets")]
    parts.append(cluster.path(LEASES, "leases", LEASE))
    return edition == cluster_edition() and all(cluster.api.get(part) for part in parts)


def _opens(cluster: Cluster, access: RegistryAccess) -> bool:
    """Whether the pull secret opens our registry."""
    secret = cluster.api.get(cluster.path("api/v1", "secrets", PULL_SECRET))
    if secret is None:
        return False
    found = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    login = manifests.login(Credentials(access.address, access.username, access.password))
    return bool(found == login)


def _is_fenced(cluster: Cluster, block: dict[str, str] | None) -> bool:
    """Whether the block's kubeconfig leads here, is let in for long yet, and writes with the Lease alone."""
    if block is None:
        return False
    with TemporaryDirectory(prefix="slipway-") as folder:
        file = Path(folder) / "kubeconfig"
        try:
            content = kubeconfigs.parsed(block["value"], "")
            write_private(file, block["value"])
            account = Cluster(file, content["current-context"], cluster.namespace, deployment="")
            account.require_fence()
        except SlipwayError:
            return False
    own = yaml.safe_load((cluster.kubeconfig or Path()).read_text())["clusters"][0]["cluster"]
    found = cluster.api.get(cluster.path("api/v1", "serviceaccounts", ACCOUNT))
    token = content["users"][0]["user"]["token"]
    return content["clusters"][0]["cluster"] == own and found is not None and _lasts(token, found)


def _lasts(token: str, account: Object) -> bool:
    """Whether a JSON Web Token (RFC 7519) is this account's, and far from its end."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    is_its_own = claims["kubernetes.io"]["serviceaccount"]["uid"] == account["metadata"]["uid"]
    return is_its_own and datetime.fromtimestamp(claims["exp"], UTC) - datetime.now(UTC) > RENEWED_BEFORE
