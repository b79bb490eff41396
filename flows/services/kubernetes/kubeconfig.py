"""Kubeconfig files: what a context leads to, and as whom."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from flows.core.errors import SettingsError

AUTHORITY = "certificate-authority"

UNUSABLE = (ConfigException, OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError)
"""What the library raises for a kubeconfig that is missing, damaged or has no such context."""


@dataclass(frozen=True)
class AccountAccess:
    """One server as one account; `authority` is PEM, "" for those that this machine trusts.

    `token` is asked before each request. `refused` is called when the server refuses the token; the request
    is then sent again, with the next one. Nothing of it is written to a file.
    """

    server: str
    authority: str
    tls_server_name: str
    token: Callable[[], str] = field(repr=False)
    context: str
    refused: Callable[[], None] | None = field(default=None, repr=False)


def of_account(
    kubeconfig: Path | AccountAccess | None, context: str, account: str, namespace: str, token: str
) -> str:
    """The YAML of an account with that token, on the cluster of the administrator's kubeconfig and context.

    It names no files: a certificate authority's is in it. `SettingsError` as of `server_of`.
    """
    if isinstance(kubeconfig, AccountAccess):
        name, cluster = context, _settings(kubeconfig)
    else:
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


def server_of(kubeconfig: Path | None, context: str) -> AccountAccess:
    """The server that a context leads to, without any account.

    `SettingsError` where the kubeconfig or a file that it names is missing or damaged, or has no such
    context.
    """
    _, settings = _cluster(kubeconfig, context)
    try:
        authority = _pem(str(settings.get(f"{AUTHORITY}-data", "")))
        server = str(settings["server"])
    except (LookupError, ValueError) as error:
        raise _unusable(context, error) from error
    return AccountAccess(server, authority, str(settings.get("tls-server-name", "")), str, context)


def _cluster(kubeconfig: Path | None, context: str) -> tuple[str, dict[str, Any]]:
    """Name and settings of the cluster that a context (of KUBECONFIG's files where None) leads to."""
    paths = str(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION)
    try:
        merged = KubeConfigMerger(paths).config  # type: ignore[no-untyped-call]  # it ships no types
        if merged is None:
            raise ConfigException(f"there is no file {paths}")
        name = merged["contexts"].get_with_name(context)["context"]["cluster"]
        entry = merged["clusters"].get_with_name(name)["cluster"]
        settings = dict(entry.value)
        if file := settings.pop(AUTHORITY, None):
            content = (Path(entry.path).parent / file).read_bytes()
            settings.setdefault(f"{AUTHORITY}-data", base64.b64encode(content).decode())
    except UNUSABLE as error:
        raise _unusable(context, reason_of(error)) from error
    return str(name), settings


def _settings(access: AccountAccess) -> dict[str, Any]:
    settings = {"server": access.server}
    if access.authority:
        settings[f"{AUTHORITY}-data"] = base64.b64encode(access.authority.encode()).decode()
    if access.tls_server_name:
        settings["tls-server-name"] = access.tls_server_name
    return settings


def reason_of(error: Exception) -> str:
    """What one of `UNUSABLE` says of the kubeconfig."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) if isinstance(error, ConfigException) else repr(error)


def _unusable(context: str, reason: object) -> SettingsError:
    return SettingsError(
        f"The kubeconfig has no usable context {context!r}: {reason}.",
        "Correct `context` or `kubeconfig` of the environment.",
    )


def _pem(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("is no base64 of a PEM text") from None


class _Strict(BaseModel):
    """What a block's kubeconfig may hold, and no more: nothing that names a program or a file, or weakens
    TLS."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _ClusterSettings(_Strict):
    server: Annotated[str, Field(pattern=r"^https://")]
    authority: Annotated[str, Field(alias="certificate-authority-data", min_length=1), AfterValidator(_pem)]
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

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        leads = (self.clusters[0].name, self.users[0].name)
        if not any(
            one.name == self.current_context and (one.context.cluster, one.context.user) == leads
            for one in self.contexts
        ):
            raise ValueError("current-context is none of its contexts, or leads to no cluster of it")
        return self


def access(content: str, block: str) -> AccountAccess:
    """Where the kubeconfig leads that the Secret block of that name holds.

    `SettingsError` where it is none, or holds more than one cluster with its authority, reached by https, and
    one account with its token. A user who may write the block could otherwise have it run a program on this
    machine (`exec`), read a file, or send the token elsewhere. A kubeconfig file on this machine is an
    administrator's, and may.
    """
    try:
        found = _Kubeconfig.model_validate(yaml.safe_load(content))
    except (yaml.YAMLError, RecursionError):
        wrong = "is no YAML"
    except ValidationError as error:
        wrong = "; ".join(_complaint(dict(detail)) for detail in error.errors(include_input=False))
    else:
        cluster, user = found.clusters[0].cluster, found.users[0].user
        return AccountAccess(
            cluster.server,
            cluster.authority,
            cluster.tls_server_name,
            lambda: user.token,
            found.current_context,
        )
    # not chained: the causes quote the content, and that is a secret
    raise SettingsError(
        f"The Secret block {block!r} holds no kubeconfig that is accepted: {wrong}.",
        "Ask an administrator to create it again: python -m deployments.cluster.bootstrap",
    )


def _complaint(detail: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    return f"{path or 'the content'}: {detail['msg']}"
