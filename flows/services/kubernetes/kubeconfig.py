"""Kubeconfig files: what a context leads to, and as whom."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

from flows.core.errors import SettingsError

AUTHORITY = "certificate-authority"


def of_account(kubeconfig: Path | None, context: str, account: str, namespace: str, token: str) -> str:
    """The YAML of an account with that token, on the cluster of the administrator's kubeconfig and context.

    It names no files: a certificate authority's is in it.
    """
    name, cluster = _cluster(kubeconfig, context)
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [
            {"name": context, "context": {"cluster": name, "user": account, "namespace": namespace}}
        ],
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token}}],
    }
    return str(yaml.safe_dump(content, sort_keys=False))


def _cluster(kubeconfig: Path | None, context: str) -> tuple[str, dict[str, Any]]:
    """Name and settings of the cluster that a context (of KUBECONFIG's files where None) leads to."""
    paths = str(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION)
    merged = KubeConfigMerger(paths).config  # type: ignore[no-untyped-call]  # it ships no types
    if merged is None:
        raise _unusable(context, f"there is no file {paths}")
    try:
        name = merged["contexts"].get_with_name(context)["context"]["cluster"]
        entry = merged["clusters"].get_with_name(name)["cluster"]
    except ConfigException as error:
        raise _unusable(context, error) from error
    settings = dict(entry.value)
    if file := settings.pop(AUTHORITY, None):
        content = (Path(entry.path).parent / file).read_bytes()
        settings.setdefault(f"{AUTHORITY}-data", base64.b64encode(content).decode())
    return name, settings


def _unusable(context: str, reason: object) -> SettingsError:
    return SettingsError(
        f"The kubeconfig has no usable context {context!r}: {reason}.",
        "Correct `context` or `kubeconfig` of the environment.",
    )


def parsed(content: str, block: str) -> Mapping[str, Any]:
    """A kubeconfig that the Secret block of that name holds; `SettingsError` where it is none."""
    try:
        kubeconfig = yaml.safe_load(content)
    except yaml.YAMLError:
        kubeconfig = None
    if not isinstance(kubeconfig, dict) or not {"current-context", "clusters", "users"} <= kubeconfig.keys():
        raise SettingsError(
            f"The Secret block {block!r} holds no kubeconfig with a current-context.",
            "Ask an administrator to create it again: python -m deployments.cluster.bootstrap",
        )
    return kubeconfig


def context_of(content: str, block: str) -> str:
    """The context that such a kubeconfig is used with."""
    return str(parsed(content, block)["current-context"])
