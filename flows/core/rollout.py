"""Judging a rollout: one snapshot of Deployment, ReplicaSets, Pods and Events in, a verdict out.

Objects are the API's JSON. What each fault looks like, and when it is first seen, was measured on a real
cluster; states alternate (waiting, terminated, waiting), so `lastState` is read too.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

REVISION = "deployment.kubernetes.io/revision"
CRASHES_BEFORE_GIVING_UP = 2
"""One restart may be bad luck; the second crash of the same container is the image's own."""

SECRET_NOT_THERE_YET = "FailedToRetrieveImagePullSecret"
"""A node that has just joined, or a secret just made: the pull is denied once, and allowed the next time."""

PULL_DENIED = ("unauthorized", "denied", "forbidden", "no basic auth", "authentication required")
PULL_MISSING = ("not found", "manifest unknown", "name unknown", "repository does not exist")


@dataclass(frozen=True)
class Snapshot:
    """What the API server said at one moment."""

    deployment: Object
    replica_sets: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()


@dataclass(frozen=True)
class Done:
    """All replicas are new and available, and no old one is left."""

    replicas: int


@dataclass(frozen=True)
class Progressing:
    """It may still come right; `waiting` says who is missing."""

    waiting: str


@dataclass(frozen=True)
class Failed:
    """It can't come right by itself: the cause, and the pod it was seen on ("" where there is none)."""

    cause: str
    pod: str = ""


Verdict = Done | Progressing | Failed


@dataclass(frozen=True)
class _Container:
    """One container of a pod as far as it matters here; what a ready one went through before does not."""

    name: str
    image: str
    state: Object
    last: Object
    restarts: int = 0

    @property
    def waiting(self) -> Object:
        return self.state.get("waiting") or {}

    @property
    def crash(self) -> Object:
        ended = self.state.get("terminated") or self.last.get("terminated") or {}
        return ended if ended.get("reason") != "Completed" or ended.get("exitCode") else {}

    @property
    def crashes(self) -> int:
        now = 1 if self.state.get("terminated") else 0
        return self.restarts + now


def judge(snapshot: Snapshot) -> Verdict:
    """The verdict on this snapshot; the caller owns the deadline."""
    deployment = snapshot.deployment
    status = deployment.get("status", {})
    wanted = deployment["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return Progressing("the controller has not seen the change yet")
    pods = new_pods(snapshot)
    late = {_about(event) for event in snapshot.events if event.get("reason") == SECRET_NOT_THERE_YET}
    failure = _refused(deployment) or _first(_failure_of(pod, late) for pod in pods)
    if failure:
        return failure
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    total = status.get("replicas", 0)
    if updated == wanted == total and available >= wanted:
        return Done(wanted)
    return Progressing(_missing(pods, wanted, total - updated) + _secret_trouble(pods, snapshot.events))


def new_pods(snapshot: Snapshot) -> tuple[Object, ...]:
    """The pods of the revision that is being rolled out, those being deleted left out."""
    revision = snapshot.deployment["metadata"].get("annotations", {}).get(REVISION)
    owners = {
        replica_set["metadata"]["uid"]
        for replica_set in snapshot.replica_sets
        if replica_set["metadata"].get("annotations", {}).get(REVISION) == revision
    }
    return tuple(
        pod for pod in snapshot.pods if _owner(pod) in owners and "deletionTimestamp" not in pod["metadata"]
    )


def _about(event: Object) -> str:
    return str(event.get("involvedObject", {}).get("name"))


def _owner(pod: Object) -> str:
    return next((str(owner["uid"]) for owner in pod["metadata"].get("ownerReferences", [])), "")


def _first(failures: Iterable[Failed | None]) -> Failed | None:
    return next((failure for failure in failures if failure), None)


def _refused(deployment: Object) -> Failed | None:
    """A quota, an admission policy or a missing service account lets no pod be created at all."""
    for condition in deployment.get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Failed(f"no pod may be created: {condition.get('message', condition.get('reason'))}")
    return None


def _failure_of(pod: Object, without_secret: Set[str]) -> Failed | None:
    name = pod["metadata"]["name"]
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Failed(f"no node can take the pod: {condition.get('message', '')}", name)
    return _first(
        _failure_of_container(name, container, secret_is_late=name in without_secret)
        for container in _containers(pod)
    )


def _containers(pod: Object) -> list[_Container]:
    status = pod.get("status", {})
    return [
        _Container(
            name=entry["name"],
            image=entry["image"],
            state=entry.get("state", {}),
            last={} if entry.get("ready") else entry.get("lastState", {}),
            restarts=0 if entry.get("ready") else entry.get("restartCount", 0),
        )
        for entry in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    ]


def _failure_of_container(pod: str, container: _Container, *, secret_is_late: bool) -> Failed | None:
    reason, message = container.waiting.get("reason", ""), container.waiting.get("message", "")
    if reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName"}:
        if secret_is_late and _is_denied(message):
            return None
        return _pull_failure(pod, container.image, reason, message)
    if reason in {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}:
        return Failed(f"container {container.name} can't be created: {message}", pod)
    if container.crash.get("reason") == "OOMKilled":
        return Failed(f"container {container.name} needs more memory than its limit (OOMKilled)", pod)
    if container.crash.get("reason") == "StartError":
        return Failed(
            f"container {container.name} can't be started: {container.crash.get('message', '')}", pod
        )
    if container.crash and (reason == "CrashLoopBackOff" or container.crashes >= CRASHES_BEFORE_GIVING_UP):
        code = container.crash.get("exitCode")
        return Failed(f"container {container.name} keeps crashing (exit code {code})", pod)
    return None


def _is_denied(message: str) -> bool:
    return any(word in message.lower() for word in PULL_DENIED)


def _pull_failure(pod: str, image: str, reason: str, message: str) -> Failed | None:
    """A registry that can't be reached may come back; one that says no will say it again."""
    said = message.lower()
    if reason == "InvalidImageName":
        return Failed(f"{image} is not a valid image name", pod)
    if _is_denied(message):
        return Failed(f"the registry refuses the cluster {image}: check the pull secret", pod)
    if any(word in said for word in PULL_MISSING):
        return Failed(f"the registry has no image {image}", pod)
    return None


def _missing(pods: tuple[Object, ...], wanted: int, old: int) -> str:
    ready = [pod for pod in pods if _is_ready(pod)]
    parts = [f"{len(ready)} of {wanted} new replicas ready"]
    parts += [f"{pod['metadata']['name']}: {_state(pod)}" for pod in pods if pod not in ready]
    if old > 0:
        parts.append(f"{old} old to go")
    return "; ".join(parts)


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _state(pod: Object) -> str:
    for container in _containers(pod):
        if container.waiting:
            return str(container.waiting.get("reason", "waiting"))
        if container.state.get("terminated"):
            return f"ended with exit code {container.state['terminated'].get('exitCode')}"
        if container.state.get("running"):
            return "running, not ready"
    return str(pod.get("status", {}).get("phase", "unknown"))


def _secret_trouble(pods: tuple[Object, ...], events: tuple[Object, ...]) -> str:
    """A missing Secret is told by an event alone; with a volume, the pod's state stays ContainerCreating."""
    names = {pod["metadata"]["name"] for pod in pods if not _is_ready(pod)}
    for event in events:
        if event.get("reason") in {"FailedMount", SECRET_NOT_THERE_YET} and _about(event) in names:
            return f"; {event.get('message', event['reason'])}"
    return ""
