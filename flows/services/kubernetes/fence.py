"""The fence: what makes the API server refuse a run that lost the Lease of its namespace.

Each write carries `<holder>/<leaseTransitions>` as an annotation, and the admission policy in
deployments/kubernetes/cluster/fence.yaml compares that with the Lease.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from flows.core.errors import ClusterUnavailable, FenceLost
from flows.core.rollout.snapshot import Object
from flows.services.kubernetes.api import KubernetesApi
from flows.services.process.poll import Waiting, poll

T = TypeVar("T")

LEASE = "slipway-release"
"""The Lease that is the lock of an environment, in its namespace."""

LEASES = "apis/coordination.k8s.io/v1"
FENCE = "slipway.dev/fence"
NO_HOLDER = "no-run/0"
"""A fence that no run ever holds."""

POLICY = "slipway-fence-"
"""The name of the admission policy begins with this."""

DENIED = re.compile(rf"ValidatingAdmissionPolicy '{POLICY}[^']*'.*denied request", re.DOTALL)
"""How the API server words a denial; its Status object names the policy in the message alone."""

HEARS_WITHIN = 5.0
"""Seconds: the admission policy reads the Lease from a cache, each API server from its own."""

PAUSE = 0.05


def denial(message: str) -> FenceLost | None:
    """The error that an API server's refusal means, or None where another rule refused."""
    if not DENIED.search(message):
        return None
    return FenceLost(
        "Another run has taken over: the cluster refuses what this one writes.",
        "Do nothing here. The other run continues from where this one stopped.",
        details=message,
    )


def fenced(metadata: Object, fence: str) -> dict[str, Any]:
    """An object's metadata with the annotation that its holder writes under."""
    return {**metadata, "annotations": {**metadata.get("annotations", {}), FENCE: fence}}


def try_write(api: KubernetesApi, namespace: str, fence: str) -> None:
    """Write nothing (a dry run); `FenceLost` where the server would refuse a write under this fence."""
    metadata = fenced({"name": "slipway-fence-probe"}, fence)
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    api.create(f"/api/v1/namespaces/{namespace}/configmaps", probe, dry_run=True)


def is_held(api: KubernetesApi, namespace: str, fence: str) -> bool:
    """Whether the Lease has this fence now. The API server reads it from etcd, not from a cache."""
    lease = api.get(f"/{LEASES}/namespaces/{namespace}/leases/{LEASE}")
    spec = lease["spec"] if lease else {}
    holder = spec.get("holderIdentity")
    return bool(holder) and fence == f"{holder}/{spec.get('leaseTransitions', 0)}"


def let_in(
    api: KubernetesApi,
    namespace: str,
    fence: str,
    write: Callable[[], T],
    hears_within: float = HEARS_WITHIN,
) -> T:
    """The result of `write`, which is called again while an API server has not heard of this holder yet.

    A refusal is final, `FenceLost`, once the Lease has another fence. Till then it comes from one of several
    API servers that lags behind: `ClusterUnavailable` if it lags for longer than `hears_within` seconds.
    """

    def look() -> T | Waiting:
        try:
            return write()
        except FenceLost as refused:
            if not is_held(api, namespace, fence):
                raise
            return Waiting(refused.details)

    def late(denied: str) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"This run has the Lease of {namespace}, but what it writes was refused for "
            f"{hears_within:g} s: {denied}.",
            "Check that all API servers of the cluster receive changes from etcd.",
        )

    return poll(look, timeout=hears_within, pause=PAUSE, late=late)
