"""One look at a rollout: the Deployment, its ReplicaSets, Pods and Events, as the API's JSON has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]

REVISION = "deployment.kubernetes.io/revision"
CONTAINER = "slipway.dev/container"
"""The Deployment's annotation with the name of the container that runs the released image."""

BY_TAINT = "DeletionByTaintManager"
DEFAULT_GRACE = 30
CONFIRMED_WITHIN = 15.0
"""Seconds that a node may take, beyond a pod's grace period, to confirm that the pod has ended."""

OVER = ("Succeeded", "Failed")
"""Phases of a pod that has ended: an evicted pod stays on the list for good, and serves no requests."""


@dataclass(frozen=True)
class Snapshot:
    """What the API server said at one moment; `pods` are those of every revision.

    `events` are of any object, as far as they are needed. `lost` has the uids of pods whose end is overdue.
    """

    deployment: Object
    replica_sets: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    lost: frozenset[str] = frozenset()

    @property
    def app(self) -> str:
        """The name of the container that runs the released image; "" where it was not written down."""
        return str(self.deployment["metadata"].get("annotations", {}).get(CONTAINER, ""))


@dataclass
class EndingPods:
    """How long pods have been ending, by the clock of who watches: a node that has died confirms no end.

    Kubernetes keeps such a pod on the list until its Node object goes, or an administrator says that the node
    is out of service (podgc's gc_controller.go).
    """

    _since: dict[str, float] = field(default_factory=dict)

    def lost(self, pods: Iterable[Object], now: float) -> frozenset[str]:
        """The uids of those that are overdue at `now` (monotonic seconds), or known to be on a dead node."""
        ending = {str(pod["metadata"]["uid"]): pod for pod in pods if is_ending(pod)}
        self._since = {uid: self._since.get(uid, now) for uid in ending}
        return frozenset(
            uid
            for uid, pod in ending.items()
            if _is_on_dead_node(pod) or now - self._since[uid] > _grace(pod) + CONFIRMED_WITHIN
        )


@dataclass(frozen=True)
class Container:
    """One container of a pod as far as it matters here; what a ready one went through before does not."""

    name: str
    image: str
    state: Object
    last: Object
    restarts: int = 0
    ready: bool = False
    memory_limit: str = ""
    runs_once: bool = False

    @property
    def waiting(self) -> Object:
        """Why it does not run: `reason` and `message`."""
        return self.state.get("waiting") or {}

    @property
    def crash(self) -> Object:
        """How it ended last, where it should not have: only an init container may end with exit code 0."""
        ended = self.state.get("terminated") or self.last.get("terminated") or {}
        return {} if self.runs_once and ended.get("exitCode") == 0 else ended

    @property
    def crashes(self) -> int:
        """How often it has ended."""
        return self.restarts + (1 if self.state.get("terminated") else 0)


def names_the_newest(snapshot: Snapshot) -> bool:
    """Whether the Deployment's revision is the newest of its ReplicaSets'.

    One that is used again, as by an undo, has its new number before the Deployment names it (the controller's
    sync.go, getNewReplicaSet); until then the revision that is on its way out passes for the new one.
    """
    newest = max((_revision(replica_set) for replica_set in snapshot.replica_sets), default=0)
    return _revision(snapshot.deployment) >= newest


def new_replica_sets(snapshot: Snapshot) -> tuple[Object, ...]:
    """The ReplicaSet of the revision that is being rolled out; none before the controller has made it."""
    revision = snapshot.deployment["metadata"].get("annotations", {}).get(REVISION)
    return tuple(
        replica_set
        for replica_set in snapshot.replica_sets
        if replica_set["metadata"].get("annotations", {}).get(REVISION) == revision
    )


def new_pods(snapshot: Snapshot) -> tuple[Object, ...]:
    """The pods of the revision that is being rolled out, those being deleted left out."""
    owners = _new_owners(snapshot)
    return tuple(pod for pod in _present(snapshot) if _owner(pod) in owners and not is_ending(pod))


def old_pods(snapshot: Snapshot) -> tuple[Object, ...]:
    """The pods of other revisions, those being deleted too, until they are gone from the list or lost."""
    owners = _new_owners(snapshot)
    return tuple(pod for pod in _present(snapshot) if _owner(pod) and _owner(pod) not in owners)


def events_about(things: Iterable[Object], events: Iterable[Object]) -> tuple[Object, ...]:
    """The events about exactly these objects: the list holds those of earlier rollouts for an hour."""
    uids = {thing["metadata"]["uid"] for thing in things}
    return tuple(event for event in events if event.get("involvedObject", {}).get("uid") in uids)


def owned(deployment: Object, replica_sets: Iterable[Object], pods: Iterable[Object]) -> Snapshot:
    """The Deployment with its own ReplicaSets and pods, out of those that its selector finds.

    The selector of one Deployment may find the pods of another. A pod whose ReplicaSet is gone may be its
    own.
    """
    sets = tuple(replica_sets)
    own = tuple(each for each in sets if _owner(each) == deployment["metadata"]["uid"])
    others = {each["metadata"]["uid"] for each in sets} - {each["metadata"]["uid"] for each in own}
    return Snapshot(deployment, own, tuple(pod for pod in pods if _owner(pod) not in others))


def refusals(replica_sets: Iterable[Object]) -> tuple[Object, ...]:
    """The conditions of ReplicaSets that may not create pods: `reason`, as FailedCreate, and `message`."""
    conditions = (one for each in replica_sets for one in each.get("status", {}).get("conditions", []))
    return tuple(one for one in conditions if one["type"] == "ReplicaFailure" and one["status"] == "True")


def containers(pod: Object) -> tuple[Container, ...]:
    """The pod's containers in the order in which they start; none before its node has taken it up."""
    status = pod.get("status", {})
    sidecars = {
        spec["name"]
        for spec in pod.get("spec", {}).get("initContainers", [])
        if spec.get("restartPolicy") == "Always"
    }
    once = [(entry, entry["name"] not in sidecars) for entry in status.get("initContainerStatuses", [])]
    lasting = [(entry, False) for entry in status.get("containerStatuses", [])]
    return tuple(_container(entry, pod, runs_once=runs_once) for entry, runs_once in [*once, *lasting])


def is_ready(pod: Object) -> bool:
    """Whether the pod gets requests."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions(pod))


def is_ending(pod: Object) -> bool:
    """Whether the pod was deleted; it may still run for its grace period."""
    return "deletionTimestamp" in pod["metadata"]


def conditions(thing: Object) -> tuple[Object, ...]:
    """The conditions in the object's status."""
    return tuple(thing.get("status", {}).get("conditions", []))


def _container(entry: Object, pod: Object, *, runs_once: bool) -> Container:
    spec = pod.get("spec", {})
    specs = [*spec.get("initContainers", []), *spec.get("containers", [])]
    limits = [s.get("resources", {}).get("limits", {}) for s in specs if s["name"] == entry["name"]]
    ready = bool(entry.get("ready"))
    return Container(
        name=entry["name"],
        image=entry["image"],
        state=entry.get("state", {}),
        last={} if ready else entry.get("lastState", {}),
        restarts=0 if ready else entry.get("restartCount", 0),
        ready=ready,
        memory_limit=str(limits[0].get("memory", "")) if limits else "",
        runs_once=runs_once,
    )


def _revision(thing: Object) -> int:
    return int(thing["metadata"].get("annotations", {}).get(REVISION, 0))


def _new_owners(snapshot: Snapshot) -> set[str]:
    return {replica_set["metadata"]["uid"] for replica_set in new_replica_sets(snapshot)}


def _present(snapshot: Snapshot) -> list[Object]:
    pods = (pod for pod in snapshot.pods if pod["metadata"].get("uid") not in snapshot.lost)
    return [pod for pod in pods if pod.get("status", {}).get("phase") not in OVER or is_ending(pod)]


def _is_on_dead_node(pod: Object) -> bool:
    """Whether the pod was deleted as its node answers no more, and gets no requests."""
    return not is_ready(pod) and any(
        c["type"] == "DisruptionTarget" and c["status"] == "True" and c.get("reason") == BY_TAINT
        for c in conditions(pod)
    )


def _grace(pod: Object) -> float:
    return float(pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE))


def _owner(pod: Object) -> str:
    return next((str(owner["uid"]) for owner in pod["metadata"].get("ownerReferences", [])), "")
