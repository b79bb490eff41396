"""The API server of the cluster that this process is a pod of, as the pod's service account."""

import os
from pathlib import Path

from flows.core.errors import SettingsError
from flows.services.kubernetes.kubeconfig import AccountAccess

CONTEXT = "in-cluster"
"""The value of `context` that stands for it."""

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts token and authority into a pod; it replaces the token before its end."""


def account() -> AccountAccess:
    """That account, with the token of now. `SettingsError` outside of a pod, or in one without a token."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    authority = FOLDER / "ca.crt"
    if not host or not authority.is_file():
        raise SettingsError(
            f"The context {CONTEXT!r} is for a process in a pod of the cluster, and this is none, or one "
            "without the token of a service account.",
            "Name a context of your kubeconfig as `context` of the environment while you work elsewhere.",
        )
    address = f"[{host}]" if ":" in host else host
    return AccountAccess(f"https://{address}:{port}", authority.read_text(), "", _token, CONTEXT)


def _token() -> str:
    return (FOLDER / "token").read_text().strip()
