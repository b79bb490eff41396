"""One namespace of a Kubernetes cluster: what is live there, and applying a release to it."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from flows.core.errors import (
    ClusterNotPrepared,
    ClusterUnavailable,
    CommandFailed,
    CredentialsRefused,
    ManifestsRejected,
    PermanentError,
    SettingsError,
    SlipwayError,
)
from flows.core.image import Image
from flows.core.release import Live
from flows.core.rollout import Done, Object, Snapshot, judge
from flows.services.command import NOT_INSTALLED, Command, Say, run, silent
from flows.services.manifests import Manifests

ANNOTATION = "slipway.dev/"
FIELD_MANAGER = "slipway"
APPLY_TIMEOUT = 60
CALL_TIMEOUT = (5, 20)
"""Seconds to connect, and to wait for an answer."""

UNREACHABLE = re.compile(
    r"connection (refused|reset)|connection lost|i/o timeout|no such host|TLS handshake|EOF"
    r"|[Uu]nable to connect|deadline exceeded|Too Many Requests|ServiceUnavailable|InternalError|etcdserver"
)
REFUSED = re.compile(r'forbidden: User "|Unauthorized|must be logged in')
CONFLICT = re.compile(r"conflicts? with")


@dataclass(frozen=True)
class Cluster:
    """One namespace of one cluster, by kubeconfig file (None: the user's own) and context.

    `deployment` is the name of the app's Deployment; `kubectl` the program, 1.27 or newer.
    """

    kubeconfig: Path | None
    context: str
    namespace: str
    deployment: str
    kubectl: str = "kubectl"

    @cached_property
    def api(self) -> client.ApiClient:
        """A connection; `SettingsError` where the kubeconfig has no such context."""
        file = str(self.kubeconfig) if self.kubeconfig else None
        try:
            found = config.new_client_from_config(file, self.context)  # type: ignore[no-untyped-call]  # only its API is typed
        except ConfigException as error:
            raise SettingsError(
                f"The kubeconfig {file or 'of this user'} has no usable context {self.context!r}: {error}.",
                "Correct `context` or `kubeconfig` of the environment; `make run` makes the embedded one.",
            ) from None
        return cast(client.ApiClient, found)

    def require_namespace(self) -> None:
        """`ClusterNotPrepared` where the namespace is missing."""
        if self._get(f"/api/v1/namespaces/{self.namespace}") is None:
            raise ClusterNotPrepared(
                f"The cluster {self.context!r} has no namespace {self.namespace!r}.",
                "An administrator creates what releases need: python -m deployments.bootstrap",
            )

    def found(self) -> Object | None:
        """The app's Deployment, or None."""
        return self._get(self._path("apis/apps/v1", "deployments", self.deployment))

    def live(self) -> Live | None:
        """What the Deployment says is live, or None where there is none of ours."""
        deployment = self.found()
        if deployment is None:
            return None
        notes = deployment["metadata"].get("annotations", {})
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        repository, _, digest = image.partition("@")
        return Live(
            image=Image(repository, digest),
            capsule=notes.get(ANNOTATION + "capsule", ""),
            commit=notes.get(ANNOTATION + "commit", ""),
            model=notes.get(ANNOTATION + "model", ""),
            manifests=notes.get(ANNOTATION + "manifests", ""),
            replicas=deployment["spec"].get("replicas", 1),
            settled=isinstance(judge(self.snapshot(deployment)), Done),
        )

    def apply(self, manifests: Manifests, say: Say) -> None:
        """Apply all objects, or none where the server would refuse one of them.

        `ManifestsRejected` carries the server's words, `ClusterUnavailable` is worth another try.
        """
        self._apply(manifests, ("--dry-run=server",), silent)
        self._apply(manifests, (), say)

    def kubectl_apply(self) -> tuple[str, ...]:
        """The command that applies manifests from standard input to this namespace, as our field manager."""
        return (
            *(self.kubectl, "apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "--filename=-"),
            *((f"--kubeconfig={self.kubeconfig}",) if self.kubeconfig else ()),
            *(f"--context={self.context}", f"--namespace={self.namespace}"),
        )

    def _apply(self, manifests: Manifests, options: tuple[str, ...], say: Say) -> None:
        try:
            run(Command((*self.kubectl_apply(), *options), APPLY_TIMEOUT, stdin=manifests.to_yaml()), say)
        except CommandFailed as failure:
            raise self._explained(failure) from None

    def snapshot(self, deployment: Object) -> Snapshot:
        """The Deployment with its ReplicaSets, Pods and Events as they are now."""
        selector = ",".join(f"{k}={v}" for k, v in deployment["spec"]["selector"]["matchLabels"].items())
        return Snapshot(
            deployment,
            self._list("apis/apps/v1", "replicasets", selector),
            self._list("api/v1", "pods", selector),
            self._list("api/v1", "events"),
        )

    def log(self, pod: str, *, lines: int, previous: bool) -> str:
        """The last lines of a pod's container, or of the one before it; "" where there is none."""
        path = f"{self._path('api/v1', 'pods', pod)}/log?tailLines={lines}&previous={str(previous).lower()}"
        status, body = self._ask(path)
        return body.decode(errors="replace").rstrip() if status == HTTPStatus.OK else ""

    def _path(self, group: str, kind: str, name: str = "") -> str:
        return f"/{group}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def _list(self, group: str, kind: str, selector: str = "") -> tuple[Object, ...]:
        found = self._get(self._path(group, kind) + (f"?labelSelector={selector}" if selector else ""))
        return tuple(found["items"]) if found else ()

    def _get(self, path: str) -> dict[str, Any] | None:
        status, body = self._ask(path)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self._refused(json.loads(body).get("message", HTTPStatus(status).phrase))
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._away(f"it answered {status}")
        if status != HTTPStatus.OK:
            raise PermanentError(f"The cluster {self.context!r} answered {status} to {path}.")
        return cast(dict[str, Any], json.loads(body))

    def _ask(self, path: str) -> tuple[int, bytes]:
        """Status and body of one GET; the JSON is judged as it is, without the client's own types."""
        request = self.api.param_serialize("GET", path, auth_settings=["BearerToken"])
        try:
            answer = self.api.call_api(*request, _request_timeout=CALL_TIMEOUT)
            return answer.status, bytes(answer.read())  # type: ignore[no-untyped-call]  # as above
        except urllib3.exceptions.HTTPError as error:
            raise self._away(error) from None

    def _explained(self, failure: CommandFailed) -> SlipwayError:
        said = failure.details
        last = said.splitlines()[-1] if said else failure.happened
        if failure.timed_out or UNREACHABLE.search(said):
            return self._away(last)
        if REFUSED.search(said):
            return self._refused(last)
        if failure.status == NOT_INSTALLED:
            return PermanentError(
                failure.happened, "Set `kubectl` in slipway.toml to a kubectl of 1.27 or newer."
            )
        if CONFLICT.search(said):
            return ManifestsRejected(
                "Somebody else set a field that the manifests set, too.",
                f"Let go of it there, or take it out of the manifests: {last}",
                details=said,
            )
        return ManifestsRejected(f"The cluster does not accept the manifests: {last}", details=said)

    def _away(self, reason: object) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"The cluster {self.context!r} could not be reached: {reason}.",
            "Is it up, and the kubeconfig right?",
        )

    def _refused(self, reason: object) -> CredentialsRefused:
        return CredentialsRefused(
            f"The cluster {self.context!r} refuses: {reason}.",
            f"Check the kubeconfig's credentials and rights in namespace {self.namespace!r}.",
        )
