"""One look at a rollout: the Deployment, its ReplicaSets, Pods and Events, as the API's JSON has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.core.rollout.containers import NOTHING, OVER, Past

Object = Mapping[str, Any]

REVISION = "deployment.kubernetes.io/revision"
CONTAINER = "slipway.dev/container"
"""The Deployment's annotation with the name of the container that runs the released image."""

BY_TAINT = "DeletionByTaintManager"
DEFAULT_GRACE = 30
CONFIRMED_WITHIN = 15.0
"""Seconds that a node may take, beyond a pod's grace period, to confirm that the pod has ended."""


@dataclass(frozen=True)
class Snapshot:
    """What the API server said at one moment; `pods` are those of every revision.

    `events` are those that `faults.TROUBLE` and `room.telling_events` select, of any object. `lost` has the
    uids of pods whose end is overdue, `past` what happened before this rollout. `released` names the
    containers that run the released image, where the Deployment (or Job) is not the app's own.
    """

    deployment: Object
    replica_sets: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    lost: frozenset[str] = frozenset()
    past: Past = NOTHING
    released: frozenset[str] | None = None

    def runs_released(self, container: str) -> bool:
        """Whether the container of that name runs the released image; true of any where that was not written
        down."""
        if self.released is not None:
            return container in self.released
        app = self.deployment["metadata"].get("annotations", {}).get(CONTAINER, "")
        return app in {"", container}


@dataclass
class EndingPods:
    """How long pods have been ending, by the watcher's own clock: a dead node confirms no end.

    Kubernetes lists such a pod until its Node object is deleted, or an administrator marks the node as out of
    service (podgc's gc_controller.go).
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


def names_the_newest(snapshot: Snapshot) -> bool:
    """Whether the Deployment's revision is the newest of its ReplicaSets'.

    A ReplicaSet that is used again, as by an undo, gets its new number before the Deployment names it (the
    controller's sync.go, getNewReplicaSet). Until then, the outgoing revision would be taken for the new one.
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
    """The pods of the revision that is being rolled out, without those that are being deleted."""
    owners = _new_owners(snapshot)
    return tuple(pod for pod in _present(snapshot) if _owner(pod) in owners and not is_ending(pod))


def ended_pods(snapshot: Snapshot) -> tuple[Object, ...]:
    """The pods of the revision that is being rolled out that have ended since the watch began."""
    owners = _new_owners(snapshot)
    ended = (pod for pod in snapshot.pods if pod.get("status", {}).get("phase") in OVER)
    return tuple(
        pod for pod in ended if _owner(pod) in owners and pod["metadata"]["uid"] not in snapshot.past.over
    )


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

    The selector of one Deployment may find the pods of another. A pod whose ReplicaSet is gone is taken for
    its own.
    """
    sets = tuple(replica_sets)
    own = tuple(each for each in sets if _owner(each) == deployment["metadata"]["uid"])
    others = {each["metadata"]["uid"] for each in sets} - {each["metadata"]["uid"] for each in own}
    return Snapshot(deployment, own, tuple(pod for pod in pods if _owner(pod) not in others))


def selector(of: Object) -> str:
    """The label selector of a Deployment's or Job's pods, as the API takes it in a query."""
    wanted = of["spec"].get("selector", {})
    equal = [f"{key}={value}" for key, value in wanted.get("matchLabels", {}).items()]
    return ",".join([*equal, *(_expressed(one) for one in wanted.get("matchExpressions", []))])


def refusals(replica_sets: Iterable[Object]) -> tuple[Object, ...]:
    """The conditions of ReplicaSets that may not create pods: `reason`, as FailedCreate, and `message`."""
    found = (one for each in replica_sets for one in conditions(each))
    return tuple(one for one in found if one["type"] == "ReplicaFailure" and one["status"] == "True")


def is_ready(pod: Object) -> bool:
    """Whether the pod gets requests."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions(pod))


def is_ending(pod: Object) -> bool:
    """Whether the pod was deleted; it may still run for its grace period."""
    return "deletionTimestamp" in pod["metadata"]


def conditions(thing: Object) -> tuple[Object, ...]:
    """The conditions in the object's status."""
    return tuple(thing.get("status", {}).get("conditions", []))


def _expressed(requirement: Object) -> str:
    key, values = requirement["key"], ",".join(requirement.get("values", []))
    match requirement["operator"]:
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "DoesNotExist":
            return f"!{key}"
    return str(key)


def _revision(thing: Object) -> int:
    return int(thing["metadata"].get("annotations", {}).get(REVISION, 0))


def _new_owners(snapshot: Snapshot) -> set[str]:
    if snapshot.deployment.get("kind") == "Job":  # which has pods of its own
        return {snapshot.deployment["metadata"]["uid"]}
    return {replica_set["metadata"]["uid"] for replica_set in new_replica_sets(snapshot)}


def _present(snapshot: Snapshot) -> list[Object]:
    pods = (pod for pod in snapshot.pods if pod["metadata"].get("uid") not in snapshot.lost)
    return [pod for pod in pods if pod.get("status", {}).get("phase") not in OVER or is_ending(pod)]


def _is_on_dead_node(pod: Object) -> bool:
    """Whether the pod was deleted because its node no longer answers, and gets no requests."""
    return not is_ready(pod) and any(
        c["type"] == "DisruptionTarget" and c["status"] == "True" and c.get("reason") == BY_TAINT
        for c in conditions(pod)
    )


def _grace(pod: Object) -> float:
    return float(pod["metadata"].get("deletionGracePeriodSeconds", DEFAULT_GRACE))


def _owner(pod: Object) -> str:
    return next((str(owner["uid"]) for owner in pod["metadata"].get("ownerReferences", [])), "")
