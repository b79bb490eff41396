"""Prepares the environments on the embedded cluster, as an administrator does in another one."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from deployments.cluster import manifests
from deployments.cluster.rules import Rules, rules_of
from deployments.local.instance import Instance
from deployments.local.prefect import subprocesses
from deployments.local.prefect.server import client
from deployments.local.progress import Say
from deployments.local.stores.registry import RegistryAccess
from deployments.prefect.api import PrefectApi
from flows.config.load import EMBEDDED, Settings
from flows.config.version import cluster_edition
from flows.core.errors import SlipwayError
from flows.core.rollout.snapshot import Object
from flows.services.kubernetes import kubeconfig as kubeconfigs
from flows.services.kubernetes.account import LOGIN, as_releasing
from flows.services.kubernetes.attach import PULL_SECRET
from flows.services.kubernetes.cluster import PREPARED, Cluster
from flows.services.kubernetes.fence import LEASE, LEASES
from flows.services.kubernetes.kubeconfig import AccountAccess
from flows.services.registry.auth import Credentials

RENEWED_BEFORE = timedelta(days=30)
"""How long before its end the login's token is renewed."""


def ensure(
    instance: Instance, settings: Settings, kubeconfig: Path, access: RegistryAccess | None, say: Say
) -> None:
    """All that releases to the environments on the embedded cluster need, as it has to be now."""
    names = [name for name, wanted in settings.environments.items() if wanted.context == EMBEDDED]
    rules = {name: _rules(settings, name, access) for name in names}
    with client(instance) as api:
        missing = [n for n in names if not _is_prepared(rules[n], settings, kubeconfig, access, api)]
    if missing:
        say(f"python -m deployments.cluster.bootstrap {' '.join(missing)}")
        subprocesses.run(
            instance,
            "deployments.cluster.bootstrap",
            *missing,
            failed="python -m deployments.cluster.bootstrap failed",
        )


def _rules(settings: Settings, environment: str, access: RegistryAccess | None) -> Rules:
    """The environment's; the platform's own registry is at the port that it has here."""
    rules = rules_of(settings, environment)
    if access is None:
        return rules
    return replace(rules, repository=f"{access.address}/{settings.registry.repository}")


def _is_prepared(
    rules: Rules, settings: Settings, kubeconfig: Path, access: RegistryAccess | None, api: PrefectApi
) -> bool:
    """False also if the registry is not the platform's own: its password is not known here."""
    wanted = settings.environment(rules.environment)
    cluster = Cluster(kubeconfig, EMBEDDED, wanted.namespace, deployment="")
    return (
        access is not None
        and _is_current(cluster, rules)
        and _opens(cluster, access)
        and (
            wanted.credentials is None
            or _is_fenced(cluster, kubeconfig, api.block("secret", wanted.credentials))
        )
    )


def _is_current(cluster: Cluster, rules: Rules) -> bool:
    """Whether this edition was created, with these rules, and all of it is there still; the server heeds a
    deletion later."""
    namespace = cluster.api.get(f"/api/v1/namespaces/{cluster.namespace}")
    notes = namespace["metadata"].get("annotations", {}) if namespace else {}
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
    kinds = (f"{policies}ies", f"{policies}ybindings")
    parts = [f"{kind}/slipway-{what}-{cluster.namespace}" for kind in kinds for what in manifests.POLICIES]
    parts += [
        cluster.path(LEASES, "leases", LEASE),
        cluster.path("api/v1", "resourcequotas", manifests.QUOTA),
        cluster.path("api/v1", "limitranges", manifests.QUOTA),
        cluster.path("apis/networking.k8s.io/v1", "networkpolicies", manifests.EGRESS),
    ]
    is_as_wanted = (notes.get(PREPARED), notes.get(manifests.RULES)) == (cluster_edition(), rules.edition)
    return is_as_wanted and all(cluster.api.get(part) for part in parts)


def _opens(cluster: Cluster, access: RegistryAccess) -> bool:
    """Whether the pull secret holds the login of the platform's registry."""
    secret = cluster.api.get(cluster.path("api/v1", "secrets", PULL_SECRET))
    if secret is None:
        return False
    found = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    login = manifests.docker_config(Credentials(access.address, access.pull_username, access.pull_password))
    return bool(found == login)


def _is_fenced(cluster: Cluster, kubeconfig: Path, block: dict[str, str] | None) -> bool:
    """Whether the block's kubeconfig leads to this cluster, lasts, and lets in as the account that releases,
    which can write only with the Lease."""
    if block is None:
        return False
    try:
        login = kubeconfigs.access(block["value"], "")
        as_releasing(Cluster(login, login.context, cluster.namespace, deployment="")).require_fence()
    except SlipwayError:
        return False
    found = cluster.api.get(cluster.path("api/v1", "serviceaccounts", LOGIN))
    return _leads_to(login, kubeconfig) and found is not None and _lasts(login.token(), found)


def _leads_to(access: AccountAccess, kubeconfig: Path) -> bool:
    """Whether the account's server is the administrator's, by address and authority."""
    own = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = base64.b64decode(own["certificate-authority-data"]).decode()
    return (access.server, access.authority) == (own["server"], authority)


def _lasts(token: str, account: Object) -> bool:
    """Whether a JSON Web Token (RFC 7519) is this account's, and far from its end."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    is_its_own = claims["kubernetes.io"]["serviceaccount"]["uid"] == account["metadata"]["uid"]
    return is_its_own and datetime.fromtimestamp(claims["exp"], UTC) - datetime.now(UTC) > RENEWED_BEFORE
