"""One Kubernetes API server: JSON in, JSON out, and refusals as errors that say whose move it is.

Objects are judged and sent as the API's own JSON, without the client library's types.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from http import HTTPStatus
from http.client import responses
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import urllib3
from kubernetes import client

from flows.core.errors import (
    ChangedMeanwhile,
    ClusterNotPrepared,
    ClusterUnavailable,
    CredentialsRefused,
    ManifestsRejected,
    PermanentError,
    SlipwayError,
    TransientError,
)
from flows.core.rollout.snapshot import Object
from flows.services.kubernetes.connection import connect
from flows.services.kubernetes.kubeconfig import AccountAccess
from flows.services.process import cancellation
from flows.services.process.bounded import Bounds, TooLarge, limited
from flows.services.process.network_faults import permanent_fault, through_proxy

FIELD_MANAGER = "slipway"
CONNECT = 5.0
"""Seconds to connect."""

TIMEOUT = 10.0
"""Seconds to wait for an answer."""

WEBHOOKS = 30.0
"""Seconds that admission webhooks may take (admissionregistration/v1, timeoutSeconds)."""

LARGE = 64 << 20
"""Bytes of an answer that are read at most: the events of a busy namespace are a few megabytes."""

TEXT = Bounds(1 << 20, 20)
"""For what a container writes, which the server passes on as it comes."""

WHOLE = 60.0
"""Seconds from the first byte of an answer to its last."""

CHUNK = 64 << 10

AUTHORITY = (
    "Correct the authority in the kubeconfig. An administrator renews that of a block: "
    "python -m deployments.cluster.bootstrap"
)
"""What to do where the server's certificate is not trusted."""

BY_RIGHTS = 'forbidden: User "'
"""RBAC words its refusals so. A quota's or a policy's have the same code and reason."""


def no_denial(_message: str) -> None:
    """A `denial` that knows of no special refusals."""


@dataclass(frozen=True)
class KubernetesApi:
    """The server that a context of a kubeconfig file (None: the user's own) leads to, or a block's account.

    It may take `timeout` seconds for an answer. `denial` gives the error that a refusal's message means,
    where that is more than missing rights.
    """

    kubeconfig: Path | AccountAccess | None
    context: str
    denial: Callable[[str], SlipwayError | None] = no_denial
    timeout: float = TIMEOUT

    @cached_property
    def _client(self) -> client.ApiClient:
        return connect(self.kubeconfig, self.context)

    @property
    def server(self) -> str:
        """The address of the server; `SettingsError` where the kubeconfig has no such context."""
        return str(self._client.configuration.host)

    def date(self) -> str | None:
        """The Date of an answer of the server's, to a user that is not signed in, whatever it answers.

        `ClusterUnavailable` where it does not.
        """
        request = self._client.param_serialize("GET", "/version")
        try:
            answer = self._client.call_api(*request, _request_timeout=(CONNECT, self.timeout)).response
        except (urllib3.exceptions.HTTPError, client.ApiException) as error:
            raise self.away(error) from error
        self._body(answer, "/version", LARGE)
        return cast(str | None, answer.headers.get("Date"))

    def get(self, path: str) -> dict[str, Any] | None:
        """The object or list at that path; None where there is none."""
        return self._json("GET", path)

    def text(self, path: str, *, otherwise: str | None = None, bounds: Bounds = TEXT) -> str | None:
        """What is at a path that gives no JSON; None where there is nothing, `otherwise` at a refusal.

        `PermanentError` where more comes than `bounds` allow, `ClusterUnavailable` where it takes longer.
        """
        ask = partial(self._call, "GET", path, limit=bounds.size)
        try:
            status, body = cancellation.current().call(ask, bounds.seconds)
        except TimeoutError as late:
            raise self.away(f"{path} was not read within {bounds.seconds:g} s") from late
        if status == HTTPStatus.OK:
            return body.decode(errors="replace")
        if otherwise is not None or status == HTTPStatus.NOT_FOUND:
            return otherwise
        raise self._refusal(status, body, path)

    def create(self, path: str, content: Object, *, dry_run: bool = False) -> dict[str, Any]:
        """The object as created below that path; `ChangedMeanwhile` where there is one of its name."""
        created = self.create_below(path, content, dry_run=dry_run)
        if created is None:
            raise self.away(f"{path} does not exist on the Kubernetes API (404)")
        return created

    def create_below(self, path: str, content: Object, *, dry_run: bool = False) -> dict[str, Any] | None:
        """As `create`, for what belongs to one object; None where that is not there."""
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        return self._json("POST", f"{path}?{urlencode(query)}", content)

    def replace(self, path: str, content: Object, timeout: float | None = None) -> dict[str, Any] | None:
        """The object as replaced; `ChangedMeanwhile` where it is not as `content` was read, None if gone.

        `timeout` is in seconds; None: as for every call.
        """
        return self._json("PUT", f"{path}?fieldManager={FIELD_MANAGER}", content, timeout=timeout)

    def merge(self, path: str, changes: Object, manager: str = FIELD_MANAGER) -> dict[str, Any] | None:
        """The object with those fields changed; None where there is none."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._json("PATCH", f"{path}?fieldManager={manager}", changes, headers)

    def apply(self, path: str, content: Object, *, force: bool = False, dry_run: bool = False) -> None:
        """Apply the object on the server's side, as our field manager.

        `ManifestsRejected` carries the server's words, or names the fields that another manager has set;
        with `force` those are taken over. Unknown and duplicate fields are refused.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        query |= {"force": "true"} if force else {}
        query |= {"dryRun": "All"} if dry_run else {}
        headers = {"Content-Type": "application/apply-patch+yaml"}  # of which JSON is a part
        body = json.dumps(content)
        status, answer = self._call(
            "PATCH", f"{path}?{urlencode(query)}", body, headers, self.timeout + WEBHOOKS
        )
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._apply_refusal(status, answer, path)

    def delete(self, path: str, seen: Object) -> bool:
        """Whether it was there; `ChangedMeanwhile` where it is no longer as it was `seen`."""
        metadata = seen["metadata"]
        preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        options = {"preconditions": preconditions, "propagationPolicy": "Background"}
        return self._json("DELETE", path, options) is not None

    def away(self, reason: object) -> ClusterUnavailable:
        """The error of a server that does not answer."""
        return ClusterUnavailable(
            f"The cluster {self.context!r} could not be reached: {reason}.",
            "Check that the API server is running and that the kubeconfig's context points to it.",
        )

    def refused(self, reason: object) -> CredentialsRefused:
        """The error of a server that refuses our account."""
        return CredentialsRefused(
            f"The cluster {self.context!r} refuses: {reason}.",
            "Check the account's rights. An administrator renews them: "
            "python -m deployments.cluster.bootstrap",
        )

    def _json(
        self,
        method: str,
        path: str,
        content: Object | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any] | None:
        status, body = self._call(method, path, content, headers, timeout)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(status, body, path)
        try:
            return cast(dict[str, Any], json.loads(body))
        except ValueError:  # of a proxy that signs people in, for example
            raise self.away(f"it answered {status} to {path}, and no JSON") from None

    def _call(
        self,
        method: str,
        path: str,
        content: Object | str | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
        *,
        limit: int = LARGE,
    ) -> tuple[int, bytes]:
        """Status and body. A token that the server does not take any more is replaced once."""
        seconds = timeout or self.timeout
        accepted = {"Content-Type": "application/json", "Accept": "application/json, */*", **(headers or {})}

        def ask() -> tuple[int, bytes]:
            request = self._client.param_serialize(
                method, path, header_params=accepted, body=content, auth_settings=["BearerToken"]
            )
            try:
                answer = self._client.call_api(*request, _request_timeout=(min(CONNECT, seconds), seconds))
                return answer.status, self._body(answer.response, path, limit)
            except urllib3.exceptions.HTTPError as error:
                raise self._lost(error) from error
            except client.ApiException as error:  # a TLS connection that breaks; refusals come as answers
                raise self._lost(error.reason) from error

        status, body = ask()
        return ask() if status == HTTPStatus.UNAUTHORIZED and self._is_renewed() else (status, body)

    def _lost(self, reason: object) -> SlipwayError:
        """The error of a connection that failed."""
        server = self._client.configuration.host
        fault = permanent_fault(f"the cluster {self.context!r}", server, str(reason), AUTHORITY)
        return fault or self.away(f"{reason}{through_proxy(server)}")

    def _is_renewed(self) -> bool:
        """Whether the next request has another token than the one that was refused."""
        if not isinstance(self.kubeconfig, AccountAccess) or self.kubeconfig.refused is None:
            return False
        self.kubeconfig.refused()
        return True

    def _body(self, answer: urllib3.BaseHTTPResponse, path: str, limit: int) -> bytes:
        try:
            return b"".join(limited(answer.stream(CHUNK), limit, time.monotonic() + WHOLE))
        except TooLarge as error:
            raise PermanentError(
                f"The cluster {self.context!r} answers {path} with more than {limit} bytes.",
                "Find out what writes so much, and stop it.",
            ) from error
        except TimeoutError as late:
            raise self.away(f"{path} was not read within {WHOLE:g} s") from late
        finally:
            answer.close()  # one that was read whole has given its connection back before

    def _refusal(self, status: int, body: bytes, path: str) -> SlipwayError:
        message = _message(body) or responses.get(status, "without a reason")
        if denied := self.denial(message):
            return denied
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return self.refused(message)
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self.away(f"it answered {status}: {message}")
        if status == HTTPStatus.CONFLICT:
            return ChangedMeanwhile(f"The object was changed by another writer (409): {message}.")
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return ManifestsRejected(f"The cluster does not accept it: {message}.")
        return PermanentError(f"The cluster {self.context!r} answered {status} to {path}: {message}.")

    def _apply_refusal(self, status: int, body: bytes, path: str) -> SlipwayError:
        """As `_refusal`, but `ManifestsRejected` where neither time nor other rights can help."""
        error, message = self._refusal(status, body, path), _message(body)
        if conflicts := _conflicts(body):
            return ManifestsRejected(
                f"Field conflict: {'; '.join(conflicts)}.",
                "Remove them from the manifests, or release them there.",
                details=message,
            )
        is_about_access = status == HTTPStatus.UNAUTHORIZED or BY_RIGHTS in message or self.denial(message)
        if is_about_access or isinstance(error, TransientError):
            return error
        return rejected(message or error.happened)


def rejected(reason: str) -> ManifestsRejected:
    """The error of a server that does not take what we apply."""
    return ManifestsRejected(f"The cluster does not accept the manifests: {reason}.")


def not_prepared(happened: str) -> ClusterNotPrepared:
    """The error of a cluster that lacks what an administrator creates."""
    return ClusterNotPrepared(
        happened, "Prepare it as an administrator: python -m deployments.cluster.bootstrap"
    )


def _message(body: bytes) -> str:
    """The words of an API server's Status object, or what a proxy says in its place."""
    return str(_status(body).get("message", ""))


def _status(body: bytes) -> dict[str, Any]:
    """An API server's Status object (meta/v1)."""
    try:
        content = json.loads(body)
    except ValueError:
        return {"message": body.decode(errors="replace").strip()[:500]}
    return content if isinstance(content, dict) else {}


def _conflicts(body: bytes) -> list[str]:
    """The fields of other managers, and which those are, where applying was refused because of them."""
    managed: dict[str, list[str]] = {}
    for cause in (_status(body).get("details") or {}).get("causes") or ():
        if cause.get("reason") == "FieldManagerConflict":
            message = cause["message"]  # conflict with "kubectl-patch" using v1
            manager = message.partition('"')[2].partition('"')[0] or message
            managed.setdefault(manager, []).append(cause["field"])
    return [
        f"{', '.join(fields)} {'is' if len(fields) == 1 else 'are'} managed by {manager}"
        for manager, fields in managed.items()
    ]
