"""Snapshots of rollouts, shaped as a real API server gives them, with states that were measured there."""

from typing import Any

from flows.core.rollout.snapshot import Snapshot

Json = dict[str, Any]
REVISION = {"deployment.kubernetes.io/revision": "2"}
COUNTED = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
DENIED = "401 Unauthorized"
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
NO_MEMORY = UNSCHEDULABLE | {"message": "0/2 nodes are available: 2 Insufficient memory."}
NO_PLACE = UNSCHEDULABLE | {"message": "0/2 nodes are available: 2 node(s) had untolerated taint(s)."}
NO_ROOM = UNSCHEDULABLE | {"message": "0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory."}


def snapshot(
    *pods: Json, refusal: str = "", events: tuple[Json, ...] = (), all_new: bool = False
) -> Snapshot:
    """Of a Deployment of two replicas whose revision 2 is rolled out over revision 1."""
    failures = [{"type": "ReplicaFailure", "status": "True", "message": refusal}] if refusal else []
    return Snapshot(
        deployment={
            "metadata": {"generation": 2, "annotations": REVISION},
            "spec": {"replicas": 2},
            "status": {"observedGeneration": 2, **(COUNTED if all_new else {})},
        },
        replica_sets=(
            {"metadata": {"uid": "old", "annotations": {"deployment.kubernetes.io/revision": "1"}}},
            {"metadata": {"uid": "new", "annotations": REVISION}, "status": {"conditions": failures}},
        ),
        pods=pods,
        events=events,
    )


def pod(
    state: Json | None = None,
    *,
    owner: str = "new",
    ready: bool = False,
    last: Json | None = None,
    restarts: int = 0,
    condition: Json | None = None,
    ending: bool = False,
    phase: str = "Pending",
    limit: str = "",
    init: bool = False,
    image: str = "registry/app@sha256:1",
    has_secret: bool = True,
) -> Json:
    """With one container, `app`, in that state; without one, no node has taken it up."""
    container = {
        "name": "app",
        "image": image,
        "state": state or {},
        "lastState": last or {},
        "restartCount": restarts,
        "ready": ready,
    }
    is_ready = {"type": "Ready", "status": "True" if ready else "False"}
    name = f"{owner}-pod"
    limits = {"limits": {"memory": limit}} if limit else {}
    deletion = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if ending else {}
    kind = "initContainer" if init else "container"
    return {
        "metadata": {"name": name, "uid": f"{name}-uid", "ownerReferences": [{"uid": owner}], **deletion},
        "spec": {
            f"{kind}s": [{"name": "app", "resources": limits}],
            **({"nodeName": "worker"} if state else {}),
            **({"imagePullSecrets": [{"name": "slipway-registry"}]} if has_secret else {}),
        },
        "status": {
            "phase": phase,
            "conditions": [is_ready, *([condition] if condition else [])],
            f"{kind}Statuses": [container] if state else [],
        },
    }


def event(reason: str, message: str, about: str = "new-pod-uid") -> Json:
    """About the new pod, unless another uid is given."""
    return {"reason": reason, "message": message, "involvedObject": {"name": "new-pod", "uid": about}}


def waiting(reason: str, message: str = "") -> Json:
    """The state of a container that does not run yet, or not again."""
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", message: str = "") -> Json:
    """The state of a container that has ended with that exit code."""
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
READY = pod(RUNNING, ready=True)
PROBE_KILLED = event("Killing", "Container app failed startup probe, will be restarted")
LATE_SECRET = event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets")
QUOTA = 'pods "new-pod" is forbidden: exceeded quota: small, requested: pods=1'
