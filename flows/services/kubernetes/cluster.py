"""One namespace of a Kubernetes cluster: what is there, and writing to it as the holder of its Lease.

Every write carries the holder's fence as an annotation, and the cluster's admission policy lets in only that
of the run which holds the Lease (deployments/kubernetes/cluster): a run that was paused, partitioned or
presumed dead can't write over its successor.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    PodNotAllowed,
    SlipwayError,
)
from flows.core.release import kinds
from flows.core.release.decision import Observed
from flows.core.release.desired import Desired, asleep, desired, require_not_paused, scaled_by
from flows.core.release.found import as_found
from flows.core.rollout.judge import ended_well, is_seen, judge
from flows.core.rollout.snapshot import CONTAINER, Object, Snapshot, is_ending, owned, selector
from flows.core.rollout.verdict import Done
from flows.services.kubernetes import fence as fences
from flows.services.kubernetes import pod_policy
from flows.services.kubernetes.api import TEXT, TIMEOUT, KubernetesApi, not_prepared
from flows.services.kubernetes.discovery import Discovery
from flows.services.kubernetes.fence import FENCE, HEARS_WITHIN, NO_HOLDER, PAUSE, fenced
from flows.services.kubernetes.kubeconfig import AccountAccess
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

LAST_CHARACTERS = 20_000
"""Of a container's log: its lines may be of any length."""

SEEN_WITHIN = 30.0
"""Seconds for the controller: more than the election of another one takes where it is gone."""

WORTH_TELLING = 1.0
"""Seconds that a wait takes before it is logged."""

DELETE_TRIES = 10
"""Controllers write an object's status while it is being deleted, each time as another version."""


@dataclass(frozen=True)
class Cluster:
    """One namespace of one cluster, by kubeconfig (a file, a block's account, None: the user's own file) and
    context.

    `deployment` is the name of the app's Deployment. A `fence` is `<holder>/<number>`, as the Lease has them.
    An API server hears of a new holder within `hears_within` seconds, and answers within `api_timeout`; the
    Lease lasts `lease_duration` seconds without a renewal. Every call may raise `ClusterUnavailable`, which
    is worth another try; what writes raises `FenceLost` once another run has taken over, and not before
    (`let_in`).
    """

    kubeconfig: Path | AccountAccess | None
    context: str
    namespace: str
    deployment: str
    hears_within: float = HEARS_WITHIN
    lease_duration: int = LEASE_DURATION
    api_timeout: float = TIMEOUT

    @cached_property
    def api(self) -> KubernetesApi:
        """The server; its calls raise `SettingsError` where the kubeconfig has no such context."""
        return KubernetesApi(self.kubeconfig, self.context, _denial, self.api_timeout)

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

    def require_pod_policy(self, fence: str) -> None:
        """`ClusterNotPrepared` where the server would let a pod of any image run; errors as of `let_in`."""
        try:
            self.let_in(fence, lambda: pod_policy.try_foreign(self.api, self.namespace, fence))
        except PodNotAllowed:
            return
        raise not_prepared(
            f"The cluster {self.context!r} lets pods with any image run in {self.namespace!r}: the admission "
            "policy for pods is missing."
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
        image = released_image(deployment)
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
            asleep=self._asleep(deployment),
        )

    def snapshot(self, deployment: Object) -> Snapshot:
        """The Deployment with its ReplicaSets and Pods as they are now, without events."""
        query = f"labelSelector={quote(selector(deployment))}"
        pods = self._list("api/v1", "pods", query)
        return owned(deployment, self._list("apis/apps/v1", "replicasets", query), pods)

    def workload(self, item: Object, image: str) -> Snapshot | None:
        """Another Deployment of the release, or a Job, as `snapshot`; None where it is gone.

        `image` is the released one: the containers that run it are the application's.
        """
        found = self.api.get(self._path_of(item))
        if found is None:
            return None
        is_job = item["kind"] == "Job"
        taken = Snapshot(found, pods=self.pods_of(item)) if is_job else self.snapshot(found)
        containers = found["spec"]["template"]["spec"].get("containers", [])
        ours = frozenset(str(one["name"]) for one in containers if one.get("image") == image)
        return replace(taken, released=ours)

    def events(self) -> tuple[Object, ...]:
        """All events of the namespace: the API server keeps them for an hour, and they may be thousands."""
        return self._list("api/v1", "events")

    def events_of(self, selectors: Sequence[str]) -> tuple[Object, ...]:
        """Those of them that these field selectors find."""
        return tuple(
            event
            for one in selectors
            for event in self._list("api/v1", "events", f"fieldSelector={quote(one)}")
        )

    def pods(self) -> tuple[Object, ...]:
        """All pods of the namespace, those that are ending among them."""
        return self._list("api/v1", "pods")

    def pods_of(self, item: Object) -> tuple[Object, ...]:
        """The pods of a Deployment or Job, those that are ending among them; of other kinds, none."""
        if item["kind"] not in {"Deployment", "Job"}:
            return ()
        wanted = f"job-name={item['metadata']['name']}" if item["kind"] == "Job" else selector(item)
        return self._list("api/v1", "pods", f"labelSelector={quote(wanted)}")

    def found(self, objects: Sequence[Object]) -> tuple[Object, ...]:
        """Those of the objects that exist and are not being deleted, as they can be applied again."""
        existing = (self._existing(item) for item in objects)
        return tuple(as_found(item) for item in existing if item is not None and not is_ending(item))

    def log(self, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """The last lines of a pod's container, or of the one before it; "" where there is none.

        Of more than `LAST_CHARACTERS`, the last are given.
        """
        query = {
            "container": container,
            "tailLines": lines,
            "limitBytes": TEXT.size,
            "previous": str(previous).lower(),
        }
        path = f"{self.path('api/v1', 'pods', pod)}/log?{urlencode(query)}"
        text = (self.api.text(path, otherwise="") or "").rstrip()[-LAST_CHARACTERS:]
        return "" if text.startswith(LOG_IS_GONE) else text

    def metrics(self, pod: str, port: int = 8000) -> str:
        """What a pod's /metrics says, asked through the API server; "" where there is no such pod.

        `PermanentError` where that is more than a megabyte.
        """
        return self.api.text(f"{self.path('api/v1', 'pods', f'{pod}:{port}')}/proxy/metrics") or ""

    def service_addresses(self) -> tuple[str, ...]:
        """The load balancer's addresses or host names, as the app's Service reports them."""
        service = self.api.get(self.path("api/v1", "services", self.deployment))
        entrances = service["status"].get("loadBalancer", {}).get("ingress", []) if service else []
        return tuple(entrance.get("ip") or entrance["hostname"] for entrance in entrances)

    def check(self, objects: Sequence[Object], fence: str, *, by_force: bool = False) -> None:
        """Raise what `apply` would, and apply nothing; `ManifestsRejected` also of what is paused."""
        self._require_granted(objects)
        for item in objects:
            require_not_paused(item, self.api.get(self._path_of(item)))
        self._try_apply(self._fenced(objects, fence, by_force), fence, by_force)

    def apply(self, objects: Sequence[Object], fence: str, say: Say, *, by_force: bool = False) -> None:
        """Apply all objects, or none where the server would refuse one of them: `ManifestsRejected`.

        It refuses a field that another manager has set to another value; `by_force` takes the field over.
        Replicas are left to an autoscaler that is there; without one, they are those of the objects.
        """
        wanted = self._fenced(objects, fence, by_force)
        self._try_apply(wanted, fence, by_force)
        for one in wanted:
            self._apply(one, fence, by_force)
            say(f"Applied {one.item['kind']} {one.item['metadata']['name']}.")

    def set_up(self, objects: Sequence[Object]) -> None:
        """Apply what an administrator creates once, in this order, by force and under no fence."""
        for item in objects:
            self.api.apply(self._path_of(item), item, force=True)

    def stamp(self, objects: Sequence[Object], fence: str, say: Say) -> None:
        """Mark those of the objects that exist as this holder's: what a run before read of them is stale."""
        for item in objects:
            if self._existing(item):
                self._stamped(item, fence)
        self._await_controller(say)

    def delete(self, objects: Sequence[Object], fence: str, say: Say) -> None:
        """Delete those of the objects that exist, each as it was when it carried this fence."""
        for item in objects:
            if self._existing(item) and self._delete(item, fence):
                say(f"Deleted {item['kind']} {item['metadata']['name']}.")

    def path(self, group: str, plural: str, name: str = "") -> str:
        """The path of all objects of a kind in this namespace, or of one; `group` is as in api/v1."""
        return f"/{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def _try_apply(self, wanted: Sequence[Desired], fence: str, by_force: bool) -> None:
        for one in wanted:
            self._apply(one, fence, by_force, dry_run=True)

    def _apply(self, wanted: Desired, fence: str, by_force: bool, *, dry_run: bool = False) -> None:
        if wanted.takes_replicas and not by_force:  # and nothing else
            self._send(wanted.without_replicas, fence, force=False, dry_run=True)
            by_force = True
        self._send(wanted.item, fence, force=by_force, dry_run=dry_run)

    def _send(self, item: Object, fence: str, *, force: bool, dry_run: bool) -> None:
        write = partial(self.api.apply, self._path_of(item), item, force=force, dry_run=dry_run)
        self.let_in(fence, write)

    def _fenced(self, objects: Sequence[Object], fence: str, by_force: bool) -> list[Desired]:
        autoscaled = scaled_by([*objects, *self._autoscalers()]) if _has_deployment(objects) else {}
        fresh = [{**item, "metadata": fenced(item["metadata"], fence)} for item in objects]
        return [  # stamped first: two managers may own the annotation while both want the same
            desired(
                item,
                self._stamped(item, fence),
                is_autoscaled=item["metadata"]["name"] in autoscaled,
                by_force=by_force,
            )
            for item in fresh
        ]

    def _autoscalers(self) -> tuple[Object, ...]:
        listed = self._list("apis/autoscaling/v2", "horizontalpodautoscalers")
        return tuple({**item, "kind": "HorizontalPodAutoscaler"} for item in listed)  # a list names it once

    def _asleep(self, deployment: Object) -> str:
        if deployment["spec"].get("replicas", 1):
            return ""
        name = str(deployment["metadata"]["name"])
        scaler = asleep(deployment, scaled_by(self._autoscalers()).get(name))
        return f"KEDA's ScaledObject {scaler}" if scaler else ""

    def _require_granted(self, objects: Sequence[Object]) -> None:
        """`ManifestsRejected` of kinds that the account has no rights to; an administrator may grant more."""
        for item in objects:
            if kinds.is_granted(item):
                continue
            if item["kind"] == "Secret":
                raise kinds.not_granted(item)
            try:
                self.api.get(self._path_of(item))
            except CredentialsRefused as refused:
                raise kinds.not_granted(item) from refused

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

    def _existing(self, item: Object) -> Object | None:
        """The object as it is in the cluster; None where it is not there, or no run can have applied it,
        as its kind is unknown to the server or hidden from us.

        A release fails by such an object after it was recorded, and has to be undone nevertheless.
        """
        try:
            return self.api.get(self._path_of(item))
        except (ManifestsRejected, CredentialsRefused):
            return None

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


def _denial(message: str) -> SlipwayError | None:
    return fences.denial(message) or pod_policy.denial(message)


def released_image(deployment: Object) -> str:
    """The image of the container that was released; of the first one, where old releases name none."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    name = deployment["metadata"].get("annotations", {}).get(CONTAINER)
    return str(next((one for one in containers if one["name"] == name), containers[0])["image"])


def _has_deployment(objects: Sequence[Object]) -> bool:
    return any(item["kind"] == "Deployment" for item in objects)
