"""Kubeconfig files: what a context leads to, and as whom."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from flows.core.errors import SettingsError


def of_account(administrators: str, account: str, namespace: str, token: str) -> str:
    """The YAML of an account with that token, on the cluster of the administrator's kubeconfig (JSON)."""
    found = json.loads(administrators)
    name, cluster = found["current-context"], found["clusters"][0]
    context = {"cluster": cluster["name"], "user": account, "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": context}],
        "clusters": [cluster],
        "users": [{"name": account, "user": {"token": token}}],
    }
    return str(yaml.safe_dump(content, sort_keys=False))


def parsed(content: str, block: str) -> Mapping[str, Any]:
    """A kubeconfig that the Secret block of that name holds; `SettingsError` where it is none."""
    try:
        found = yaml.safe_load(content)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or not {"current-context", "clusters", "users"} <= found.keys():
        raise SettingsError(
            f"The Secret block {block!r} holds no kubeconfig with a current-context.",
            "An administrator makes it anew: python -m deployments.cluster.bootstrap",
        )
    return found


def context_of(content: str, block: str) -> str:
    """The context that such a kubeconfig is used with."""
    return str(parsed(content, block)["current-context"])


def write_private(path: Path, content: str) -> None:
    """A file that its owner alone can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
