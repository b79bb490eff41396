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

from flows.core.build.image import Image
from flows.core.errors import (
    ChangedMeanwhile,
    ClusterUnavailable,
    CredentialsRefused,
    FenceLost,
    ManifestsRejected,
)
from flows.core.release.decision import Observed
from flows.core.rollout.judge import Done, Object, Snapshot, ended_well, is_seen, judge
from flows.services.kubernetes.api import FIELD_MANAGER, LEASE, KubernetesApi, not_prepared
from flows.services.kubernetes.kubectl import Kubectl
from flows.services.process.command import Say, silent

T = TypeVar("T")

ANNOTATION = "slipway.dev/"
FENCE = f"{ANNOTATION}fence"
NOBODY = "nobody/0"
"""A fence that no run ever holds."""

LOG_IS_GONE = "unable to retrieve container logs"
"""A kubelet answers so, as if it were a log line, when it has removed the container already."""

HEARS_WITHIN = 5.0
"""Seconds: the admission policy reads the Lease from a cache, each API server from its own."""

SEEN_WITHIN = 30.0
"""Seconds: longer than another controller takes to be elected where the one before is gone."""

WORTH_TELLING = 1.0
"""Seconds that a wait takes before anybody is told of it."""

DRY_RUN = ("--dry-run=server",)

DELETE_TRIES = 10
"""Controllers write an object's status while it is being deleted, each time as another version."""


@dataclass(frozen=True)
class Cluster:
    """One namespace of one cluster, by kubeconfig file (None: the user's own) and context.

    `deployment` is the name of the app's Deployment; `program` kubectl, 1.27 or newer. A `fence` is
    `<holder>/<number>`, as the Lease has them. Every call may raise `ClusterUnavailable`, which is worth
    another try; what writes raises `FenceLost` once another run has taken over, and not before (`let_in`).
    """

    kubeconfig: Path | None
    context: str
    namespace: str
    deployment: str
    program: str = "kubectl"

    @cached_property
    def api(self) -> KubernetesApi:
        """The server; its calls raise `SettingsError` where the kubeconfig has no such context."""
        return KubernetesApi(self.kubeconfig, self.context)

    @cached_property
    def kubectl(self) -> Kubectl:
        """The program, on this namespace."""
        return Kubectl(self.program, self.api, self.namespace)

    @cached_property
    def _plurals(self) -> dict[tuple[str, str], str]:
        return {}

    def require_namespace(self) -> None:
        """`ClusterNotPrepared` where the namespace is missing, or is none of this account's."""
        try:
            found = self.api.get(f"/api/v1/namespaces/{self.namespace}")
        except CredentialsRefused as refused:
            raise not_prepared(
                f"This account may not see the namespace {self.namespace!r}: {refused.happened}"
            ) from None
        if found is None:
            raise not_prepared(f"The cluster {self.context!r} has no namespace {self.namespace!r}.")

    def require_fence(self) -> None:
        """`ClusterNotPrepared` where the server would let in what a run without the Lease writes."""
        try:
            self._try_write(NOBODY)
        except FenceLost:
            return
        raise not_prepared(
            f"The cluster {self.context!r} does not fence what this account writes to {self.namespace!r}: "
            "the Lease or the admission policy is missing, or the account is another."
        )

    def await_fence(self, fence: str) -> None:
        """Return when the server lets this fence in: it hears of a new holder a moment later. Errors as of
        `let_in`."""
        self.let_in(fence, lambda: self._try_write(fence))

    def let_in(self, fence: str, write: Callable[[], T]) -> T:
        """What `write` gives, which writes under this fence, however often the server has to be asked.

        A refusal is final, `FenceLost`, once the fence is no longer the Lease's. Till then it comes of an API
        server, of which there may be several, that has not heard yet: `ClusterUnavailable` if it stays so.
        """
        deadline = time.monotonic() + HEARS_WITHIN
        while True:
            try:
                return write()
            except FenceLost as refused:
                if not self._is_held(fence):
                    raise
                if time.monotonic() > deadline:
                    raise ClusterUnavailable(
                        f"This run has the Lease of {self.namespace}, but what it writes was refused for "
                        f"{HEARS_WITHIN:g} s: {refused.details}.",
                        "See whether all API servers of the cluster hear of changes.",
                    ) from None
            time.sleep(0.05)

    def found(self) -> Object | None:
        """The app's Deployment, or None."""
        return self.api.get(self.path("apis/apps/v1", "deployments", self.deployment))

    def live(self) -> Observed | None:
        """What the Deployment says is live, or None where there is none of ours."""
        deployment = self.found()
        if deployment is None:
            return None
        notes = deployment["metadata"].get("annotations", {})
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
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
        )

    def snapshot(self, deployment: Object) -> Snapshot:
        """The Deployment with its ReplicaSets, Pods and Events as they are now."""
        selector = ",".join(f"{k}={v}" for k, v in deployment["spec"]["selector"]["matchLabels"].items())
        return Snapshot(
            deployment,
            self._list("apis/apps/v1", "replicasets", selector),
            self._list("api/v1", "pods", selector),
            self._list("api/v1", "events"),
        )

    def pods(self) -> tuple[Object, ...]:
        """All of the app's pods, those that are ending among them."""
        return self._list("api/v1", "pods", f"app.kubernetes.io/name={self.deployment}")

    def log(self, pod: str, *, lines: int, previous: bool) -> str:
        """The last lines of a pod's container, or of the one before it; "" where there is none."""
        path = f"{self.path('api/v1', 'pods', pod)}/log?tailLines={lines}&previous={str(previous).lower()}"
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

    def check(self, objects: Sequence[Object], fence: str) -> None:
        """Raise what `apply` would, and apply nothing."""
        self._apply(self._fenced(objects, fence), fence, DRY_RUN, silent)

    def apply(self, objects: Sequence[Object], fence: str, say: Say, *, by_force: bool = False) -> None:
        """Apply all objects, or none where the server would refuse one of them: `ManifestsRejected`.

        So it does where somebody else set a field to another value; `by_force` takes the field from them.
        Replicas that somebody else sets, as an autoscaler does, are left alone.
        """
        wanted = self._fenced(objects, fence)
        options = ("--force-conflicts",) if by_force else ()
        self._apply(wanted, fence, (*options, *DRY_RUN), silent)
        self._apply(wanted, fence, options, say)

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

    def _apply(self, objects: Sequence[Object], fence: str, options: tuple[str, ...], say: Say) -> None:
        self.let_in(fence, lambda: self.kubectl.apply(objects, options, say))

    def _is_held(self, fence: str) -> bool:
        """Whether the Lease has this fence now; what is read is never from a cache."""
        lease = self.api.get(self.path("apis/coordination.k8s.io/v1", "leases", LEASE))
        spec = lease["spec"] if lease else {}
        holder = spec.get("holderIdentity")
        return bool(holder) and fence == f"{holder}/{spec.get('leaseTransitions', 0)}"

    def _try_write(self, fence: str) -> None:
        """Nothing is written; `FenceLost` where it would not be let in."""
        metadata = fenced({"name": "slipway-fence-probe"}, fence)
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        self.api.create(self.path("api/v1", "configmaps"), probe, dry_run=True)

    def _fenced(self, objects: Sequence[Object], fence: str) -> list[Object]:
        # stamped first: two managers may own the annotation while both want the same
        return [_wanted(item, self._stamped(item, fence), fence) for item in objects]

    def _await_controller(self, say: Say) -> None:
        """Return when the controller has seen the Deployment as it is, or is not there to see it.

        To it a new annotation is a change (a new generation), and until it has seen that, what it said of the
        rollout before counts for nothing.
        """
        began, told = time.monotonic(), False
        while (deployment := self.found()) is not None and not is_seen(deployment):
            waited = time.monotonic() - began
            if waited > SEEN_WITHIN:
                say(f"The controller has not seen {self.deployment} for {SEEN_WITHIN:.0f} s: going on.")
                return
            if waited > WORTH_TELLING and not told:
                say(f"Waiting for the controller, which has not seen {self.deployment} as it is now.")
                told = True
            time.sleep(0.05)

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
        found = self.api.get(path)
        if found is None or found["metadata"].get("annotations", {}).get(FENCE) == fence:
            return found
        return self.let_in(fence, lambda: self.api.merge(path, {"metadata": {"annotations": {FENCE: fence}}}))

    def _delete(self, item: Object, fence: str) -> bool:
        for _ in range(DELETE_TRIES):
            found = self._stamped(item, fence)
            if found is None:
                return False
            try:
                return self.let_in(fence, partial(self.api.delete, self._path_of(item), found))
            except ChangedMeanwhile:
                continue
        raise ClusterUnavailable(
            f"{item['kind']} {item['metadata']['name']} changes faster than it can be deleted.", "Try again."
        )

    def _path_of(self, item: Object) -> str:
        version, kind = item["apiVersion"], item["kind"]
        group = f"apis/{version}" if "/" in version else f"api/{version}"
        if (version, kind) not in self._plurals:
            known = self.api.get(f"/{group}") or {"resources": []}
            names = {r["kind"]: r["name"] for r in known["resources"] if "/" not in r["name"]}
            self._plurals.update({(version, k): name for k, name in names.items()})
        if (version, kind) not in self._plurals:
            raise self.kubectl.rejected(f"it knows no kind {kind!r} of {version}")
        return self.path(group, self._plurals[version, kind], item["metadata"]["name"])

    def _list(self, group: str, plural: str, selector: str = "") -> tuple[Object, ...]:
        found = self.api.get(self.path(group, plural) + (f"?labelSelector={selector}" if selector else ""))
        return tuple(found["items"]) if found else ()


def fenced(metadata: Object, fence: str) -> dict[str, Any]:
    """An object's metadata with the annotation that its holder writes under."""
    return {**metadata, "annotations": {**metadata.get("annotations", {}), FENCE: fence}}


def _wanted(item: Object, found: Object | None, fence: str) -> Object:
    marked = {**item, "metadata": fenced(item["metadata"], fence)}
    if item["kind"] == "Deployment" and found is not None and _others_set_replicas(found):
        marked["spec"] = {key: value for key, value in item["spec"].items() if key != "replicas"}
    return marked


def _others_set_replicas(deployment: Object) -> bool:
    return any(
        entry["manager"] != FIELD_MANAGER and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in deployment["metadata"].get("managedFields", [])
    )
