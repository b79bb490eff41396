"""Judging a rollout: one snapshot of Deployment, ReplicaSets, Pods and Events in, a verdict out."""

from dataclasses import dataclass

from flows.core.errors import Fault
from flows.core.rollout.faults import SECRET_NOT_THERE_YET, Failed, failure, refusal
from flows.core.rollout.snapshot import (
    Object,
    Snapshot,
    conditions,
    containers,
    events_about,
    is_ending,
    is_ready,
    names_the_newest,
    new_pods,
    new_replica_sets,
    old_pods,
)

COMPLETE = "NewReplicaSetAvailable"
"""Why a Deployment has the condition Progressing once all replicas of its newest revision were available."""


@dataclass(frozen=True)
class Done:
    """All replicas are new and available, and no old pod is left, not even one that is ending."""

    replicas: int


@dataclass(frozen=True)
class Progressing:
    """It may still come right; `waiting` says who is missing, `fault` whose it is if it stays like this."""

    waiting: str
    fault: Fault = "infrastructure"


RolloutState = Done | Progressing | Failed


def judge(snapshot: Snapshot) -> RolloutState:
    """The verdict on this snapshot; the caller owns the clock: the deadline, and a failure's patience."""
    deployment = snapshot.deployment
    status = deployment.get("status", {})
    desired = deployment["spec"].get("replicas", 1)
    if not is_seen(deployment):
        return Progressing("the controller has not seen the change yet")
    if not names_the_newest(snapshot):
        return Progressing("the controller has not named the new revision yet")
    if failed := failure(snapshot):
        return failed
    all_new = status.get("updatedReplicas", 0) == desired == status.get("replicas", 0)
    if all_new and status.get("availableReplicas", 0) >= desired and not old_pods(snapshot):
        return Done(desired)
    trouble = _trouble(snapshot)
    parts = [*_missing(new_pods(snapshot), desired), *_leaving(old_pods(snapshot)), *trouble]
    fault = "configuration" if trouble else _fault(new_pods(snapshot), snapshot.app)
    return Progressing("; ".join(parts), fault)


def is_seen(deployment: Object) -> bool:
    """Whether the controller has seen the Deployment as it is, so that its status speaks of that."""
    seen = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"].get("generation", 0))


def ended_well(deployment: Object) -> bool:
    """Whether all replicas of the newest revision were available once, and none of another is left.

    The controller remembers that as a condition until it rolls out another revision: neither pods that go,
    nor an autoscaler, an annotation or its own restart change it (progress.go, syncRolloutStatus). Where it
    uses a ReplicaSet again, the condition stays until that has pods, but till then others have them. Without
    a progressDeadlineSeconds nothing is remembered.
    """
    status = deployment.get("status", {})
    was_complete = any(
        c["type"] == "Progressing" and c.get("reason") == COMPLETE for c in conditions(deployment)
    )
    return is_seen(deployment) and was_complete and status.get("updatedReplicas") == status.get("replicas")


def _missing(pods: tuple[Object, ...], desired: int) -> list[str]:
    late = [pod for pod in pods if not is_ready(pod)]
    states = [f"{pod['metadata']['name']}: {_state(pod)}" for pod in late]
    return [f"{len(pods) - len(late)} of {desired} new replicas ready", *states]


def _leaving(old: tuple[Object, ...]) -> list[str]:
    ending = sum(1 for pod in old if is_ending(pod))
    staying = len(old) - ending
    groups = [(staying, "still serving"), (ending, "still ending")]
    return [f"{count} old replica{'' if count == 1 else 's'} {what}" for count, what in groups if count]


def _state(pod: Object) -> str:
    for container in containers(pod):
        if container.waiting:
            return str(container.waiting.get("reason", "waiting"))
        if container.crash and not container.state.get("running"):
            return f"ended with exit code {container.crash.get('exitCode')}"
        if container.state.get("running") and not container.ready:
            return "running, not ready"
    return str(pod.get("status", {}).get("phase", "unknown"))


def _trouble(snapshot: Snapshot) -> list[str]:
    """What only events and the ReplicaSet tell: a pod without its volume stays ContainerCreating."""
    late = [pod for pod in new_pods(snapshot) if not is_ready(pod)]
    reasons = [
        str(event.get("message") or event["reason"])
        for event in events_about(late, snapshot.events)
        if event.get("reason") in {"FailedMount", SECRET_NOT_THERE_YET}
    ]
    refused = [said for replica_set in new_replica_sets(snapshot) if (said := refusal(replica_set))]
    return [*reasons[-1:], *refused]


def _fault(pods: tuple[Object, ...], app: str) -> Fault:
    """Pods whose app runs and never gets ready are the image's fault; those where it never runs, the
    cluster's."""
    late = [pod for pod in pods if not is_ready(pod)]
    started = [[c for c in containers(pod) if not c.ready and app in {"", c.name}] for pod in late]
    ran = [any(c.state.get("running") or c.crash for c in found) for found in started]
    return "image" if ran and all(ran) else "infrastructure"
