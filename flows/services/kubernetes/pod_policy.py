"""The pod policy: what makes the API server refuse pods with images or rights that no administrator allowed.

It binds every user and controller of the namespace: deployments/kubernetes/cluster/pods.yaml.
"""

import re

from flows.core.errors import PodNotAllowed
from flows.services.kubernetes.api import KubernetesApi
from flows.services.kubernetes.fence import fenced

POLICY = "slipway-pods-"
"""The name of the admission policy begins with this."""

DENIED = re.compile(rf"ValidatingAdmissionPolicy '{POLICY}[^']*'.*?denied request: (.*)", re.DOTALL)
"""How the API server words a denial; its Status object names the policy in the message alone."""

PROBE = "slipway-pods-probe"
FOREIGN = "slipway.invalid/probe:foreign"
"""An image that no policy allows: the domain can't exist (RFC 2606)."""


def denial(message: str) -> PodNotAllowed | None:
    """The error that an API server's refusal means, or None where another rule refused."""
    if not (found := DENIED.search(message)):
        return None
    return PodNotAllowed(
        f"The cluster lets no such pod run: {found[1].strip().rstrip('.')}.",
        "Correct the manifests, or list it in slipway.toml at the key that is named, and then let an "
        "administrator run: python -m deployments.cluster.bootstrap",
        details=message,
    )


def try_foreign(api: KubernetesApi, namespace: str, fence: str) -> None:
    """Write nothing (a dry run); `PodNotAllowed` where the server would refuse a pod with a foreign image."""
    labels = {"slipway.dev/probe": "pods"}
    container = {"name": "probe", "image": FOREIGN}
    probe = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": fenced({"name": PROBE}, fence),
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    api.create(f"/apis/apps/v1/namespaces/{namespace}/deployments", probe, dry_run=True)
