"""One namespace of a Kubernetes cluster: what is there, and writing to it as the holder of its Lease.

Every write carries the holder's fence as an annotation, and the cluster's admission policy lets in only that
of the run which holds the Lease (deployments/kubernetes/cluster): a run that was paused, partitioned or
presumed dead can't write over its successor.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from flows.core.build.image import Image
from flows.core.errors import (
    ChangedMeanwhile,
    ClusterUnavailable,
    CredentialsRefused,
    FenceLost,
    ManifestsRejected,
)
from flows.core.release.decision import Observed
from flows.core.rollout.faults import TROUBLE
from flows.core.rollout.judge import Done, ended_well, is_seen, judge
from flows.core.rollout.snapshot import CONTAINER, Object, Snapshot, owned
from flows.services.kubernetes import fence as fences
from flows.services.kubernetes.api import FIELD_MANAGER, TIMEOUT, KubernetesApi, not_prepared
from flows.services.kubernetes.discovery import Discovery
from flows.services.kubernetes.fence import FENCE, HEARS_WITHIN, NO_HOLDER, PAUSE, fenced
from flows.services.process.command import Say
from flows.services.process.poll import Waiting, poll

T = TypeVar("T")

ANNOTATION = "slipway.dev/"
PREPARED = f"{ANNOTATION}prepared"
"""The namespace's annotation with the edition of the objects that the bootstrap created for it."""
LEASE_DURATION = 15
"""Seconds without a renewal after which the next run may take the Lease over."""

LOG_IS_GONE = "unable to retrieve container logs"
"""A kubelet answers so, as if it were a log line, when it has removed the container already."""

SEEN_WITHIN = 30.0
"""Seconds: longer than another controller takes to be elected where the one before is gone."""

WORTH_TELLING = 1.0
"""Seconds that a wait takes before it is logged."""

DELETE_TRIES = 10
"""Controllers write an object's status while it is being deleted, each time as another version."""


@dataclass(frozen=True)
class Cluster:
    """One namespace of one cluster, by kubeconfig file (None: the user's own) and context.

    `deployment` is the name of the app's Deployment. A `fence` is `<holder>/<number>`, as the Lease has them.
    An API server hears of a new holder within `hears_within` seconds, and answers within `api_timeout`; the
    Lease lasts `lease_duration` seconds without a renewal. Every call may raise `ClusterUnavailable`, which
    is worth another try; what writes raises `FenceLost` once another run has taken over, and not before
    (`let_in`).
    """

    kubeconfig: Path | None
    context: str
    namespace: str
    deployment: str
    hears_within: float = HEARS_WITHIN
    lease_duration: int = LEASE_DURATION
    api_timeout: float = TIMEOUT

    @cached_property
    def api(self) -> KubernetesApi:
        """The server; its calls raise `SettingsError` where the kubeconfig has no such context."""
        return KubernetesApi(self.kubeconfig, self.context, fences.denial, self.api_timeout)

    @cached_property
    def _discovery(self) -> Discovery:
        return Discovery(self.api)

    def require_namespace(self) -> None:
        """`ClusterNotPrepared` where the namespace is missing, or is none of this account's."""
        try:
            namespace = self.api.get(f"/api/v1/namespaces/{self.namespace}")
        except CredentialsRefused as refused:
            raise not_prepared(
                f"This account may not see the namespace {self.namespace!r}: {refused.happened}"
            ) from refused
        if namespace is None:
            raise not_prepared(f"The cluster {self.context!r} has no namespace {self.namespace!r}.")

    def require_fence(self) -> None:
        """`ClusterNotPrepared` where the server would let in what a run without the Lease writes."""
        try:
            fences.try_write(self.api, self.namespace, NO_HOLDER)
        except FenceLost:
            return
        raise not_prepared(
            f"The cluster {self.context!r} does not fence what this account writes to {self.namespace!r}: "
            "the Lease or the admission policy is missing, or the account is another."
        )

    def require_edition(self, edition: str) -> None:
        """`ClusterNotPrepared` unless the namespace was prepared with this edition of the objects."""
        namespace = self.api.get(f"/api/v1/namespaces/{self.namespace}") or {"metadata": {}}
        prepared = namespace["metadata"].get("annotations", {}).get(PREPARED, "none")
        if prepared != edition:
            raise not_prepared(
                f"The namespace {self.namespace!r} of {self.context!r} was prepared by another version of "
                f"Slipway: with edition {prepared}, while this one needs {edition}. Nothing was changed."
            )

    def await_fence(self, fence: str) -> None:
        """Return when the server lets this fence in: it hears of a new holder a moment later. Errors as of
        `let_in`."""
        self.let_in(fence, lambda: fences.try_write(self.api, self.namespace, fence))

    def let_in(self, fence: str, write: Callable[[], T]) -> T:
        """The result of `write`, which writes under this fence; errors as of `fence.let_in`."""
        return fences.let_in(self.api, self.namespace, fence, write, self.hears_within)

    def find_deployment(self) -> Object | None:
        """The app's Deployment, or None."""
        return self.api.get(self.path("apis/apps/v1", "deployments", self.deployment))

    def live(self) -> Observed | None:
        """What the Deployment says is live, or None where there is none of ours."""
        deployment = self.find_deployment()
        if deployment is None:
            return None
        notes = deployment["metadata"].get("annotations", {})
        image = _released(deployment)
        whole = isinstance(judge(self.snapshot(deployment)), Done)
        repository, _, digest = image.partition("@")
        return Observed(
            image=Image(repository, digest),
            capsule=notes.get(ANNOTATION + "capsule", ""),
            commit=notes.get(ANNOTATION + "commit", ""),
            model=notes.get(ANNOTATION + "model", ""),
            manifests=notes.get(ANNOTATION + "manifests", ""),
            replicas=deployment["spec"].get("replicas", 1),
            settled=whole or ended_well(deployment),
            whole=whole,
            ready=deployment.get("status", {}).get("readyReplicas", 0),
        )

    def snapshot(self, deployment: Object) -> Snapshot:
        """The Deployment with its ReplicaSets and Pods as they are now, without events."""
        selector = ",".join(f"{k}={v}" for k, v in deployment["spec"]["selector"]["matchLabels"].items())
        return owned(
            deployment,
            self._list("apis/apps/v1", "replicasets", f"labelSelector={selector}"),
            self._list("api/v1", "pods", f"labelSelector={selector}"),
        )

    def events(self) -> tuple[Object, ...]:
        """All events of the namespace: the API server keeps them for an hour, and they may be thousands."""
        return self._list("api/v1", "events")

    def events_of_trouble(self) -> tuple[Object, ...]:
        """Those of them that a rollout is judged by."""
        return tuple(
            event
            for selector in TROUBLE
            for event in self._list("api/v1", "events", f"fieldSelector={quote(selector)}")
        )

    def pods(self) -> tuple[Object, ...]:
        """All of the app's pods, those that are ending among them."""
        return self._list("api/v1", "pods", f"labelSelector=app.kubernetes.io/name={self.deployment}")

    def log(self, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """The last lines of a pod's container, or of the one before it; "" where there is none."""
        query = {"container": container, "tailLines": lines, "previous": str(previous).lower()}
        path = f"{self.path('api/v1', 'pods', pod)}/log?{urlencode(query)}"
        text = (self.api.text(path, otherwise="") or "").rstrip()
        return "" if text.startswith(LOG_IS_GONE) else text

    def metrics(self, pod: str, port: int = 8000) -> str:
        """What a pod's /metrics says, asked through the API server; "" where there is no such pod."""
        return self.api.text(f"{self.path('api/v1', 'pods', f'{pod}:{port}')}/proxy/metrics") or ""

    def service_addresses(self) -> tuple[str, ...]:
        """The load balancer's addresses or host names, as the app's Service reports them."""
        service = self.api.get(self.path("api/v1", "services", self.deployment))
        entrances = service["status"].get("loadBalancer", {}).get("ingress", []) if service else []
        return tuple(entrance.get("ip") or entrance["hostname"] for entrance in entrances)

    def check(self, objects: Sequence[Object], fence: str, *, by_force: bool = False) -> None:
        """Raise what `apply` would, and apply nothing."""
        self._try_apply(self._fenced(objects, fence), fence, by_force)

    def apply(self, objects: Sequence[Object], fence: str, say: Say, *, by_force: bool = False) -> None:
        """Apply all objects, or none where the server would refuse one of them: `ManifestsRejected`.

        It refuses a field that another manager has set to another value; `by_force` takes the field over.
        Replicas that another manager sets, as an autoscaler does, are left alone.
        """
        desired = self._fenced(objects, fence)
        self._try_apply(desired, fence, by_force)
        for item in desired:
            self._apply(item, fence, by_force)
            say(f"Applied {item['kind']} {item['metadata']['name']}.")

    def set_up(self, objects: Sequence[Object]) -> None:
        """Apply what an administrator creates once, in this order, by force and under no fence."""
        for item in objects:
            self.api.apply(self._path_of(item), item, force=True)

    def stamp(self, objects: Sequence[Object], fence: str, say: Say) -> None:
        """Mark those of the objects that exist as this holder's: what a run before read of them is stale."""
        for item in objects:
            if self._may_exist(item):
                self._stamped(item, fence)
        self._await_controller(say)

    def delete(self, objects: Sequence[Object], fence: str, say: Say) -> None:
        """Delete those of the objects that exist, each as it was when it carried this fence."""
        for item in objects:
            if self._may_exist(item) and self._delete(item, fence):
                say(f"Deleted {item['kind']} {item['metadata']['name']}.")

    def path(self, group: str, plural: str, name: str = "") -> str:
        """Of all objects of a kind in this namespace, or of one; `group` with its version, as api/v1."""
        return f"/{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def _try_apply(self, objects: Sequence[Object], fence: str, by_force: bool) -> None:
        for item in objects:
            self._apply(item, fence, by_force, dry_run=True)

    def _apply(self, item: Object, fence: str, by_force: bool, *, dry_run: bool = False) -> None:
        write = partial(self.api.apply, self._path_of(item), item, force=by_force, dry_run=dry_run)
        self.let_in(fence, write)

    def _fenced(self, objects: Sequence[Object], fence: str) -> list[Object]:
        # stamped first: two managers may own the annotation while both want the same
        return [_desired(item, self._stamped(item, fence), fence) for item in objects]

    def _await_controller(self, say: Say) -> None:
        """Return when the controller has seen the Deployment as it is, or is not there to see it.

        To it a new annotation is a change (a new generation), and until it has seen that, what it said of the
        rollout before counts for nothing.
        """
        began = time.monotonic()

        def look() -> bool | Waiting:
            deployment = self.find_deployment()
            if deployment is None or is_seen(deployment):
                return True
            if time.monotonic() - began < WORTH_TELLING:
                return Waiting()
            return Waiting(f"Waiting for the controller, which has not seen {self.deployment} as it is now.")

        try:
            poll(look, timeout=SEEN_WITHIN, pause=PAUSE, late=TimeoutError, on_change=say)
        except TimeoutError:
            say(f"The controller has not seen {self.deployment} for {SEEN_WITHIN:.0f} s: going on.")

    def _may_exist(self, item: Object) -> bool:
        """False of what no run can have applied: of a kind that the server does not know, or hides from us.

        A release fails by such an object after it was recorded, and has to be undone nevertheless.
        """
        try:
            self.api.get(self._path_of(item))
        except (ManifestsRejected, CredentialsRefused):
            return False
        return True

    def _stamped(self, item: Object, fence: str) -> dict[str, Any] | None:
        """The object as it is in the cluster, with this fence; None where it is not there."""
        path = self._path_of(item)
        existing = self.api.get(path)
        if existing is None or existing["metadata"].get("annotations", {}).get(FENCE) == fence:
            return existing
        return self.let_in(fence, lambda: self.api.merge(path, {"metadata": {"annotations": {FENCE: fence}}}))

    def _delete(self, item: Object, fence: str) -> bool:
        for _ in range(DELETE_TRIES):
            existing = self._stamped(item, fence)
            if existing is None:
                return False
            try:
                return self.let_in(fence, partial(self.api.delete, self._path_of(item), existing))
            except ChangedMeanwhile:
                continue
        raise ClusterUnavailable(
            f"{item['kind']} {item['metadata']['name']} changes faster than it can be deleted.", "Try again."
        )

    def _path_of(self, item: Object) -> str:
        return self._discovery.path(item, self.namespace)

    def _list(self, group: str, plural: str, query: str = "") -> tuple[Object, ...]:
        listed = self.api.get(self.path(group, plural) + (f"?{query}" if query else ""))
        return tuple(listed["items"]) if listed else ()


def _released(deployment: Object) -> str:
    """The image of the container that was released; of a release of long ago, of the first one."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    name = deployment["metadata"].get("annotations", {}).get(CONTAINER)
    return str(next((one for one in containers if one["name"] == name), containers[0])["image"])


def _desired(item: Object, existing: Object | None, fence: str) -> Object:
    marked = {**item, "metadata": fenced(item["metadata"], fence)}
    if item["kind"] == "Deployment" and existing is not None and _others_set_replicas(existing):
        marked["spec"] = {key: value for key, value in item["spec"].items() if key != "replicas"}
    return marked


def _others_set_replicas(deployment: Object) -> bool:
    return any(
        entry["manager"] != FIELD_MANAGER and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in deployment["metadata"].get("managedFields", [])
    )
