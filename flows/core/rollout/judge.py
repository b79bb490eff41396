"""Judging a rollout: one snapshot of Deployment, ReplicaSets, Pods and Events in, its state out."""

from flows.core.errors import Fault
from flows.core.rollout.containers import containers
from flows.core.rollout.faults import SECRET_NOT_THERE_YET, failure, refusal
from flows.core.rollout.room import on_its_way
from flows.core.rollout.snapshot import (
    Object,
    Snapshot,
    conditions,
    events_about,
    is_ending,
    is_ready,
    names_the_newest,
    new_pods,
    new_replica_sets,
    old_pods,
)
from flows.core.rollout.verdict import Done, Failed, Progressing, RolloutState

PAUSED_FOR = 15.0
"""Seconds for a person to resume a Deployment that was paused during its rollout."""

COMPLETE = "NewReplicaSetAvailable"
"""Why a Deployment has the condition Progressing once all replicas of its newest revision were available."""


def judge(snapshot: Snapshot) -> RolloutState:
    """The state of the rollout in this snapshot. The caller keeps the deadline and a failure's patience."""
    deployment = snapshot.deployment
    status = deployment.get("status", {})
    desired = deployment["spec"].get("replicas", 1)
    if not is_seen(deployment):
        return Progressing("the controller has not seen the change yet")
    if not names_the_newest(snapshot):
        return Progressing("the controller has not named the new revision yet")
    coming = on_its_way(snapshot)
    failed = failure(snapshot)
    if failed and not (coming and failed.for_room):
        return failed
    all_new = status.get("updatedReplicas", 0) == desired == status.get("replicas", 0)
    if all_new and status.get("availableReplicas", 0) >= desired and not old_pods(snapshot):
        return Done(desired)
    if deployment["spec"].get("paused"):
        cause = f"the Deployment is paused{paused_by(deployment)}: `kubectl rollout resume` ends that"
        return Failed(cause, patience=PAUSED_FOR)
    trouble = _trouble(snapshot)
    parts = [*_missing(snapshot, desired), *_leaving(old_pods(snapshot)), *trouble, coming]
    fault = "configuration" if trouble else _fault(snapshot)
    return Progressing("; ".join(filter(None, parts)), fault, coming)


def is_seen(deployment: Object) -> bool:
    """Whether the controller has seen this version of the Deployment, so that its status is about it."""
    seen = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"].get("generation", 0))


def ended_well(deployment: Object) -> bool:
    """Whether all replicas of the newest revision were available once, and none of another is left.

    The controller keeps that as a condition until it rolls out another revision. Lost pods, an autoscaler, an
    annotation or a restart of the controller do not change it (progress.go, syncRolloutStatus). Where it uses
    a ReplicaSet again, the condition stays until that has pods, but until then others have them. Without a
    progressDeadlineSeconds, no such condition is kept.
    """
    status = deployment.get("status", {})
    was_complete = any(
        c["type"] == "Progressing" and c.get("reason") == COMPLETE for c in conditions(deployment)
    )
    return is_seen(deployment) and was_complete and status.get("updatedReplicas") == status.get("replicas")


def paused_by(deployment: Object) -> str:
    """Who has paused the Deployment, and when: " by kubectl since ..."; "" where the server does not know."""
    for entry in deployment["metadata"].get("managedFields", []):
        if "f:paused" in entry.get("fieldsV1", {}).get("f:spec", {}):
            since = f" since {entry['time']}" if entry.get("time") else ""
            return f" by {entry.get('manager', 'an unknown writer')}{since}"
    return ""


def _missing(snapshot: Snapshot, desired: int) -> list[str]:
    pods = new_pods(snapshot)
    late = [pod for pod in pods if not is_ready(pod)]
    states = [f"{pod['metadata']['name']}: {_state(pod, snapshot)}" for pod in late]
    return [f"{len(pods) - len(late)} of {desired} new replicas ready", *states]


def _leaving(old: tuple[Object, ...]) -> list[str]:
    ending = sum(1 for pod in old if is_ending(pod))
    staying = len(old) - ending
    groups = [(staying, "still serving"), (ending, "still ending")]
    return [f"{count} old replica{'' if count == 1 else 's'} {what}" for count, what in groups if count]


def _state(pod: Object, snapshot: Snapshot) -> str:
    for container in containers(pod, snapshot.past):
        if container.waiting:
            return str(container.waiting.get("reason", "waiting"))
        if container.crash and not container.state.get("running"):
            return f"ended with exit code {container.crash.get('exitCode')}"
        if container.state.get("running") and not container.ready:
            return "running, not ready"
    return str(pod.get("status", {}).get("phase", "unknown"))


def _trouble(snapshot: Snapshot) -> list[str]:
    """What only events and the ReplicaSet show: a pod without its volume stays ContainerCreating."""
    late = [pod for pod in new_pods(snapshot) if not is_ready(pod)]
    reasons = [
        str(event.get("message") or event["reason"])
        for event in events_about(late, snapshot.events)
        if event.get("reason") in {"FailedMount", SECRET_NOT_THERE_YET}
    ]
    refused = [said for replica_set in new_replica_sets(snapshot) if (said := refusal(replica_set))]
    return [*reasons[-1:], *refused]


def _fault(snapshot: Snapshot) -> Fault:
    """Whose fault a time-out would be: the image's where the app runs and does not get ready, else the
    infrastructure's."""
    late = [pod for pod in new_pods(snapshot) if not is_ready(pod)]
    found = [containers(pod, snapshot.past) for pod in late]
    started = [[c for c in pod if not c.ready and snapshot.runs_released(c.name)] for pod in found]
    ran = [any(c.state.get("running") or c.crash for c in pod) for pod in started]
    return "image" if ran and all(ran) else "infrastructure"
