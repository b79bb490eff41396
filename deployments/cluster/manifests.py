"""What an administrator creates in a cluster for one environment; most of it is in `kubernetes/cluster`."""

import base64
import json
import time
from string import Template
from typing import Any

import yaml

from flows.config.version import CLUSTER_OBJECTS, cluster_edition
from flows.services.kubernetes.cluster import PREPARED
from flows.services.kubernetes.fence import LEASE
from flows.services.registry.auth import Credentials

ACCOUNT = "slipway-release"
PULL_SECRET = "slipway-registry"
"""The name that the Deployment's `imagePullSecrets` has."""


def objects(namespace: str, credentials: Credentials) -> list[dict[str, Any]]:
    """Everything but the Lease, the namespace first, and what the fence is made of behind the other policies.

    The API server hears of policies in the order in which they were made: once it heeds the fence, which is
    waited for, it heeds all.
    """
    described = [
        described
        for text in _texts()
        for described in yaml.safe_load_all(Template(text).substitute(namespace=namespace))
    ]
    described[0]["metadata"]["annotations"] = {PREPARED: cluster_edition()}
    return [*described, _pull_secret(namespace, credentials)]


def new_lease() -> dict[str, Any]:
    """Without a holder. One that replaces a deleted one has to count on from beyond where that got."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE},
        "spec": {"leaseTransitions": int(time.time() // 60)},
    }


def login(credentials: Credentials) -> dict[str, Any]:
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
        "stringData": {".dockerconfigjson": json.dumps(login(credentials))},
    }
