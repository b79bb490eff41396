"""Kubeconfig files: what a context leads to, and as whom."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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


class _Strict(BaseModel):
    """What a block's kubeconfig may hold, and no more: nothing that names a program or a file, or weakens
    TLS."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _ClusterSettings(_Strict):
    server: Annotated[str, Field(pattern=r"^https://")]
    authority: Annotated[str, Field(alias="certificate-authority-data", min_length=1)]
    tls_server_name: Annotated[str, Field(alias="tls-server-name")] = ""


class _User(_Strict):
    token: Annotated[str, Field(min_length=1)]


class _ContextSettings(_Strict):
    cluster: str
    user: str
    namespace: str = ""


class _NamedCluster(_Strict):
    name: str
    cluster: _ClusterSettings


class _NamedUser(_Strict):
    name: str
    user: _User


class _NamedContext(_Strict):
    name: str
    context: _ContextSettings


class _Kubeconfig(_Strict):
    """Of kubernetes.io/docs/reference/config-api/kubeconfig.v1."""

    api_version: Annotated[str, Field(alias="apiVersion")] = "v1"
    kind: str = "Config"
    preferences: dict[str, Any] = {}
    current_context: Annotated[str, Field(alias="current-context", min_length=1)]
    clusters: Annotated[list[_NamedCluster], Field(min_length=1, max_length=1)]
    users: Annotated[list[_NamedUser], Field(min_length=1, max_length=1)]
    contexts: Annotated[list[_NamedContext], Field(min_length=1)]


def parsed(content: str, block: str) -> Mapping[str, Any]:
    """The kubeconfig that the Secret block of that name holds.

    `SettingsError` where it is none, or holds more than one cluster with its authority, reached by https, and
    one account with its token. A user who may write the block could otherwise have it run a program on this
    machine (`exec`), read a file, or send the token elsewhere. A kubeconfig file on this machine is an
    administrator's, and may.
    """
    try:
        found: Mapping[str, Any] = yaml.safe_load(content)
        _Kubeconfig.model_validate(found)
    except yaml.YAMLError:
        wrong = "is no YAML"
    except ValidationError as error:
        wrong = "; ".join(_complaint(dict(detail)) for detail in error.errors(include_input=False))
    else:
        return found
    # not chained: the causes quote the content, and that is a secret
    raise SettingsError(
        f"The Secret block {block!r} holds no kubeconfig that is accepted: {wrong}.",
        "Ask an administrator to create it again: python -m deployments.cluster.bootstrap",
    )


def context_of(content: str, block: str) -> str:
    """The context that such a kubeconfig is used with; raises as `parsed`."""
    return str(parsed(content, block)["current-context"])


def _complaint(detail: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    return f"{path or 'the content'}: {detail['msg']}"
