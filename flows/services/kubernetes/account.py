"""The account that releases: its tokens last an hour, are asked for when they are needed, and stay in memory.

What a worker has for long is a login that may create these tokens and do nothing else: the account
`slipway-login`, or an identity of the cluster's cloud.
"""

import base64
import json
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

from flows.core.errors import CredentialsRefused, SettingsError, TransientError
from flows.services.kubernetes.api import BY_RIGHTS, KubernetesApi, not_prepared
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.kubeconfig import AccountAccess, server_of

ACCOUNT = "slipway-release"
LOGIN = "slipway-login"

LIFETIME = 3600
"""Seconds that are asked for; the server may give others, and gives 600 at least."""

RENEWED_BEFORE = 300
"""Seconds before its end in which a token is replaced."""


def as_releasing(login: Cluster) -> Cluster:
    """The cluster as the releasing account of its namespace, by the tokens that the given login creates.

    `SettingsError` where the login is that account itself, as an earlier Slipway kept it.
    """
    if isinstance(login.kubeconfig, AccountAccess):
        _require_other(login.kubeconfig, login.namespace)
        server = login.kubeconfig
    else:
        server = server_of(login.kubeconfig, login.context)
    tokens = ReleaseTokens(login.api, login.namespace)
    return replace(login, kubeconfig=replace(server, token=tokens.current, refused=tokens.forget))


def _require_other(login: AccountAccess, namespace: str) -> None:
    if _subject(login.token()) == f"system:serviceaccount:{namespace}:{ACCOUNT}":
        raise SettingsError(
            f"The block holds a long-lived token of {ACCOUNT}, which an earlier Slipway made. This version "
            f"needs the login {LOGIN} there.",
            "Let an administrator create it: python -m deployments.cluster.bootstrap",
        )


@dataclass
class ReleaseTokens:
    """Tokens of the releasing account, which `login` creates."""

    login: KubernetesApi
    namespace: str
    _value: str = field(default="", repr=False)
    _ends_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def current(self) -> str:
        """One that lasts for minutes yet; while the server is away, the last one until its end.

        `ClusterNotPrepared` where the login may not create it, or there is no such account; errors as of the
        server.
        """
        with self._lock:
            now = time.monotonic()
            if not self._value or now >= self._ends_at - RENEWED_BEFORE:
                try:
                    given = self._created()
                except TransientError:
                    if not self._value or now >= self._ends_at:
                        raise
                else:
                    self._value = given["status"]["token"]
                    self._ends_at = now + given["spec"]["expirationSeconds"]
            return self._value

    def forget(self) -> None:
        """Create another token at the next use: the server refused this one. The account may be a new one."""
        with self._lock:
            self._value = ""

    def _created(self) -> dict[str, Any]:
        try:
            given = create_token(self.login, self.namespace, ACCOUNT, LIFETIME)
        except CredentialsRefused as refused:
            if BY_RIGHTS not in refused.happened:
                raise
            raise not_prepared(
                f"The login to the cluster {self.login.context!r} may not create tokens of {ACCOUNT} in "
                f"{self.namespace!r}: {refused.happened}"
            ) from refused
        if given is None:
            raise not_prepared(
                f"The namespace {self.namespace!r} of the cluster {self.login.context!r} has no account "
                f"{ACCOUNT}."
            )
        return given


def create_token(api: KubernetesApi, namespace: str, account: str, seconds: int) -> dict[str, Any] | None:
    """A TokenRequest (authentication.k8s.io/v1) with its token; None where there is no such account."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    return api.create_below(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", request)


def _subject(token: str) -> str:
    """Whom a JSON Web Token (RFC 7519) is for; "" for tokens of other kinds."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["sub"])
    except (ValueError, LookupError, TypeError):
        return ""
