"""One Kubernetes API server: JSON in, JSON out, and refusals as errors that say whose move it is.

Objects are judged and sent as the API's own JSON, without the client library's types.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from flows.core.errors import (
    ChangedMeanwhile,
    ClusterNotPrepared,
    ClusterUnavailable,
    CredentialsRefused,
    FenceLost,
    ManifestsRejected,
    PermanentError,
    SettingsError,
    SlipwayError,
)
from flows.core.rollout.judge import Object

FIELD_MANAGER = "slipway"
CALL_TIMEOUT = (5, 10)
"""Seconds to connect, and to wait for an answer."""

LEASE = "slipway-release"
"""The Lease that is the lock of an environment, in its namespace."""

FENCE_POLICY = "slipway-fence-"
"""What the name of the admission policy begins with that refuses a run which lost its Lease."""

BEHIND_THE_FENCE = re.compile(rf"ValidatingAdmissionPolicy '{FENCE_POLICY}[^']*'.*denied request", re.DOTALL)

Timeout = tuple[float, float]


@dataclass(frozen=True)
class KubernetesApi:
    """The server that a context of a kubeconfig file (None: the user's own) leads to."""

    kubeconfig: Path | None
    context: str

    @cached_property
    def _client(self) -> client.ApiClient:
        file = str(self.kubeconfig) if self.kubeconfig else None
        try:
            connection = client.Configuration()
            connection.retries = False  # the table of tasks says what is tried again
            config.load_kube_config(file, self.context, connection)  # type: ignore[no-untyped-call]  # only its API is typed
        except ConfigException as error:
            raise SettingsError(
                f"The kubeconfig {file or 'of this user'} has no usable context {self.context!r}: {error}.",
                "Correct `context` or `kubeconfig` of the environment; `make run` makes the embedded one.",
            ) from None
        return client.ApiClient(connection)

    def get(self, path: str, timeout: Timeout = CALL_TIMEOUT) -> dict[str, Any] | None:
        """The object or list at that path; None where there is none."""
        return self._json("GET", path, timeout=timeout)

    def text(self, path: str, *, otherwise: str | None = None) -> str | None:
        """What is at a path that gives no JSON; None where there is nothing, `otherwise` at a refusal."""
        status, body = self._call("GET", path, None, {}, CALL_TIMEOUT)
        if status == HTTPStatus.OK:
            return body.decode(errors="replace")
        if otherwise is not None or status == HTTPStatus.NOT_FOUND:
            return otherwise
        raise self._refusal(status, body, path)

    def create(self, path: str, content: Object, *, dry_run: bool = False) -> dict[str, Any]:
        """The object as created below that path; `ChangedMeanwhile` where there is one of its name."""
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        created = self._json("POST", f"{path}?{urlencode(query)}", content)
        if created is None:
            raise self.away(f"it knows no {path}")
        return created

    def replace(self, path: str, content: Object, timeout: Timeout = CALL_TIMEOUT) -> dict[str, Any] | None:
        """The object as replaced; `ChangedMeanwhile` where it is not as `content` was read, None if gone."""
        return self._json("PUT", f"{path}?fieldManager={FIELD_MANAGER}", content, timeout=timeout)

    def merge(self, path: str, changes: Object, manager: str = FIELD_MANAGER) -> dict[str, Any] | None:
        """The object with those fields changed; None where there is none."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return self._json("PATCH", f"{path}?fieldManager={manager}", changes, headers)

    def delete(self, path: str, found: Object) -> bool:
        """Whether it was there; `ChangedMeanwhile` where it is no longer as it was `found`."""
        metadata = found["metadata"]
        preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        options = {"preconditions": preconditions, "propagationPolicy": "Background"}
        return self._json("DELETE", path, options) is not None

    def away(self, reason: object) -> ClusterUnavailable:
        """The error of a server that does not answer."""
        return ClusterUnavailable(
            f"The cluster {self.context!r} could not be reached: {reason}.",
            "Is it up, and the kubeconfig right?",
        )

    def refused(self, reason: object) -> CredentialsRefused:
        """The error of a server that does not let us."""
        return CredentialsRefused(
            f"The cluster {self.context!r} refuses: {reason}.",
            "Check the account's rights. An administrator renews them: "
            "python -m deployments.cluster.bootstrap",
        )

    def fenced(self, said: str) -> FenceLost | None:
        """The error that the fence's refusal means, or None where it was not the fence."""
        if BEHIND_THE_FENCE.search(said):
            return FenceLost(
                "Another run has taken over: the cluster refuses what this one writes.",
                "Nothing needs to be done; the other run goes on from where this one stopped.",
                details=said,
            )
        return None

    def _json(
        self,
        method: str,
        path: str,
        content: Object | None = None,
        headers: dict[str, str] | None = None,
        timeout: Timeout = CALL_TIMEOUT,
    ) -> dict[str, Any] | None:
        status, body = self._call(method, path, content, headers or {}, timeout)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(status, body, path)
        return cast(dict[str, Any], json.loads(body))

    def _call(
        self, method: str, path: str, content: Object | None, headers: dict[str, str], timeout: Timeout
    ) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*", **headers}
        request = self._client.param_serialize(
            method, path, header_params=headers, body=content, auth_settings=["BearerToken"]
        )
        try:
            answer = self._client.call_api(*request, _request_timeout=timeout)
            return answer.status, bytes(answer.read())  # type: ignore[no-untyped-call]  # as above
        except urllib3.exceptions.HTTPError as error:
            raise self.away(error) from None
        except client.ApiException as error:  # a TLS connection that breaks; refusals come as answers
            raise self.away(error.reason) from None

    def _refusal(self, status: int, body: bytes, path: str) -> SlipwayError:
        said = _message(body) or HTTPStatus(status).phrase
        if fenced := self.fenced(said):
            return fenced
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return self.refused(said)
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self.away(f"it answered {status}: {said}")
        if status == HTTPStatus.CONFLICT:
            return ChangedMeanwhile(f"The cluster {self.context!r} has it otherwise by now: {said}.")
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return ManifestsRejected(f"The cluster does not accept it: {said}.")
        return PermanentError(f"The cluster {self.context!r} answered {status} to {path}: {said}.")


def not_prepared(happened: str) -> ClusterNotPrepared:
    """The error of a cluster that lacks what an administrator creates."""
    return ClusterNotPrepared(
        happened, "An administrator creates what releases need: python -m deployments.cluster.bootstrap"
    )


def _message(body: bytes) -> str:
    """The words of an API server's Status object, or what a proxy says in its place."""
    try:
        content = json.loads(body)
    except ValueError:
        return body.decode(errors="replace").strip()[:500]
    return str(content.get("message", "")) if isinstance(content, dict) else ""
