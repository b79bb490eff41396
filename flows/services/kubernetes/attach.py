"""Whether the nodes of a cluster may pull the app's image, by a pull secret or an identity of their own."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from flows.core.build.image import Image
from flows.core.errors import ChangedMeanwhile, ClusterNotPrepared, CredentialsRefused, PermanentError
from flows.core.rollout.faults import PULL_DENIED, PULL_MISSING
from flows.core.rollout.snapshot import Object
from flows.services.kubernetes.api import KubernetesApi
from flows.services.process.command import Say, silent
from flows.services.process.poll import Waiting, poll

LABEL, VALUE = "slipway.dev/check", "attach"
"""The only label of the pod: no Service of an app selects it."""

PATIENCE = 120.0
"""Seconds: a node that was just attached to the registry is refused for a minute or two."""

TIMEOUT = 600.0
"""Seconds for a node to be added, and for a large image."""

PULL_SECRET = "slipway-registry"  # noqa: S105  # a name, no password
"""The name that the Deployment's `imagePullSecrets` has; the bootstrap puts the login for pulls there."""

PULL_FAILED = {"ErrImagePull", "ImagePullBackOff"}
DELETE_TRIES = 10

CONTAINER = "pull"
USER = 10001
"""As whom the container runs; any user but root would do."""


def attach(
    api: KubernetesApi,
    namespace: str,
    image: Image,
    *,
    secret: str | None = None,
    puller: Callable[[], str] | None = None,
    say: Say = silent,
    patience: float = PATIENCE,
) -> None:
    """Have a node pull the image, as the pod of a release would; nothing is left behind.

    `secret` is the pull secret; None: the nodes have an identity of their own. `ClusterNotPrepared` where the
    registry refuses the node for `patience` seconds: it says how to renew the secret, or names the identity,
    for which `puller` is asked. `PermanentError` where the pod is not let in, or the image is not
    pulled for another reason.
    """
    identity = puller or (lambda: "the nodes' identity")
    how_to_let_in = _renew_secret if secret else partial(_let_in, identity, image)
    pull = _Pull(api, image, how_to_let_in, patience)
    with _pod(api, namespace, image, secret) as path:
        poll(lambda: pull.look(path), timeout=TIMEOUT, pause=0.5, late=pull.late, on_change=say)


@dataclass
class _Pull:
    """What becomes of one pull. `how_to_let_in` gives the remedy where the registry refuses for `patience`
    seconds, counted from `denied_at`."""

    api: KubernetesApi
    image: Image
    how_to_let_in: Callable[[], str]
    patience: float
    denied_at: float | None = None

    def look(self, path: str) -> bool | Waiting:
        pod = self.api.get(path)
        if pod is None:
            raise PermanentError(
                f"The pod that pulls {self.image} was deleted by another user or a controller.",
                "Run the check again.",
            )
        waiting = _state(pod).get("waiting") or {}
        if waiting.get("reason") not in PULL_FAILED:
            return _is_pulled(pod) or Waiting(_unscheduled(pod))
        message = str(waiting.get("message", ""))
        if _says(message, PULL_DENIED):
            self._denied(message)
        elif _says(message, PULL_MISSING):
            raise PermanentError(
                f"A node of {self.api.context!r} does not find {self.image}: {message}.",
                "Check that [registry] names the registry that the nodes pull from.",
            )
        return Waiting(f"A node of {self.api.context!r} could not pull {self.image} yet: {message}.")

    def late(self, reason: str) -> PermanentError:
        return PermanentError(
            f"No node of {self.api.context!r} pulled {self.image} within {TIMEOUT:g} s. {reason}",
            "Check that the cluster has room for a pod, and that its nodes reach the registry.",
        )

    def _denied(self, message: str) -> None:
        now = time.monotonic()
        self.denied_at = self.denied_at or now
        if now - self.denied_at < self.patience:
            return
        raise ClusterNotPrepared(
            f"The registry refuses the nodes of {self.api.context!r}: {message}.", self.how_to_let_in()
        )


def _renew_secret() -> str:
    return (
        "Correct the block that [registry] pull_credentials names, and run: "
        "python -m deployments.cluster.bootstrap"
    )


def _let_in(puller: Callable[[], str], image: Image) -> str:
    registry = image.repository.partition("/")[0]
    return (
        f"Give {puller()} the right to pull from {registry}: on AKS, "
        "`az aks update --name CLUSTER --resource-group GROUP --attach-acr REGISTRY` gives it the role "
        "AcrPull."
    )


@contextmanager
def _pod(api: KubernetesApi, namespace: str, image: Image, secret: str | None) -> Iterator[str]:
    """The path of a new pod that does nothing with the image; pods of earlier checks are deleted as well."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    listed = api.get(f"{pods}?labelSelector={LABEL}%3D{VALUE}") or {"items": []}
    for left in listed["items"]:
        if left.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
            _delete(api, f"{pods}/{left['metadata']['name']}")
    name = f"slipway-attach-{secrets.token_hex(3)}"
    path = f"{pods}/{name}"
    try:
        try:
            api.create(pods, _described(name, image, secret))
        except CredentialsRefused as refused:
            raise PermanentError(
                f"The pod that pulls {image} could not be created: {refused.happened}",
                "Use an administrator's context. Where the quota refuses the pod, raise `quota.pods`.",
            ) from refused
        yield path
    finally:
        _delete(api, path)


def _described(name: str, image: Image, secret: str | None) -> Object:
    resources = {"cpu": "10m", "memory": "32Mi"}
    container = {
        "name": CONTAINER,
        "image": str(image),
        "imagePullPolicy": "Always",  # else a node that has it would ask nothing
        "command": ["true"],
        "resources": {"requests": resources, "limits": {"memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL: VALUE}},
        "spec": {
            "containers": [container],
            **({"imagePullSecrets": [{"name": secret}]} if secret else {}),
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "activeDeadlineSeconds": int(TIMEOUT),  # if nothing is left to delete it
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }


def _state(pod: Object) -> dict[str, Any]:
    """The state of our container. A webhook of the cluster may have put others beside it."""
    return dict(_ours(pod).get("state") or {})


def _is_pulled(pod: Object) -> bool:
    """Whether our container was created: its image was there, whatever became of the container."""
    return bool(_ours(pod).get("imageID")) or not {"running", "terminated"}.isdisjoint(_state(pod))


def _unscheduled(pod: Object) -> str:
    conditions = pod.get("status", {}).get("conditions") or []
    return " ".join(
        str(one["message"]) for one in conditions if one["status"] == "False" and one.get("message")
    )


def _ours(pod: Object) -> dict[str, Any]:
    """The status of our container; empty while it has none."""
    found = pod.get("status", {}).get("containerStatuses") or []
    return next((dict(one) for one in found if one["name"] == CONTAINER), {})


def _delete(api: KubernetesApi, path: str) -> None:
    for _ in range(DELETE_TRIES):
        if (found := api.get(path)) is None:
            return
        try:
            api.delete(path, found)
        except ChangedMeanwhile:
            continue
        return


def _says(message: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in message.lower() for phrase in phrases)
