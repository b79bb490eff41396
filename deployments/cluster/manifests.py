"""What an administrator creates in a cluster for one environment; most of it is in `kubernetes/cluster`."""

import base64
import json
import time
from string import Template
from typing import Any

import yaml

from deployments.cluster.rules import Rules
from flows.config.version import CLUSTER_OBJECTS, cluster_edition
from flows.services.kubernetes.attach import PULL_SECRET
from flows.services.kubernetes.cluster import ANNOTATION, PREPARED
from flows.services.kubernetes.fence import LEASE
from flows.services.registry.auth import Credentials

RULES = f"{ANNOTATION}rules"
"""The namespace's annotation with the edition of the settings that are part of its objects."""

POLICIES = ("egress", "fence", "pods", "secrets")
"""The admission policies of a namespace are named `slipway-<one of these>-<namespace>`, as their bindings."""

QUOTA, EGRESS = "slipway", "slipway-egress"
"""Names of the quota and the limit range, and of the network policy."""


def objects(rules: Rules, login: Credentials | None) -> list[dict[str, Any]]:
    """All objects but the Lease: the namespace first, and the fence after the other policies.

    The API server hears of policies in the order in which they were made: once it heeds the fence, which is
    waited for, it heeds all.
    """
    described = [
        described
        for text in _texts()
        for described in yaml.safe_load_all(Template(text).substitute(rules.values))
    ]
    described[0]["metadata"]["annotations"] = {PREPARED: cluster_edition(), RULES: rules.edition}
    return [*described, _pull_secret(rules.namespace, login)] if login else described


def new_lease() -> dict[str, Any]:
    """A Lease without a holder. Its count starts at the minutes since 1970, above that of a deleted Lease."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE},
        "spec": {"leaseTransitions": int(time.time() // 60)},
    }


def docker_config(credentials: Credentials) -> dict[str, Any]:
    """What the pull secret holds, as docker's config.json has it."""
    pair = base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
    return {"auths": {credentials.address: {"auth": pair}}}


def _texts() -> list[str]:
    order = {"namespace": 0, "fence": 2}
    files = sorted(CLUSTER_OBJECTS.glob("*.yaml"), key=lambda file: (order.get(file.stem, 1), file.name))
    return [file.read_text() for file in files]


def _pull_secret(namespace: str, credentials: Credentials) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": PULL_SECRET, "namespace": namespace},
        "stringData": {".dockerconfigjson": json.dumps(docker_config(credentials))},
    }
