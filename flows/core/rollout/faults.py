"""What keeps a rollout from ever succeeding, and whose fault it is.

What each fault looks like, and when it is first seen, was measured on a real cluster; states alternate
(waiting, terminated, waiting), so a container's `lastState` is read too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from flows.core.errors import Fault
from flows.core.rollout.snapshot import (
    Container,
    Object,
    Snapshot,
    conditions,
    containers,
    events_about,
    is_ending,
    is_ready,
    new_pods,
    new_replica_sets,
    old_pods,
)

CRASHES_BEFORE_GIVING_UP = 2
"""One restart may be bad luck; the second crash of the same container is the image's own."""

ROOM_COMES_WITHIN = 15.0
"""Seconds: a cluster autoscaler looks every 10 s whom it should make room for, and says so by an event."""

SECRET_NOT_THERE_YET = "FailedToRetrieveImagePullSecret"
"""A node that has just joined, or a secret just made: the pull is denied once, and allowed the next time."""

SECRET_COMES_WITHIN = 35.0
"""Seconds: the kubelet pulls again after ten and after thirty, and on a busy node the first of these may find
no secret yet. One that is not there by then is missing."""

SCALE_UP = "TriggeredScaleUp"
TROUBLE = ("type!=Normal", "reason=Killing", f"reason={SCALE_UP}")
"""Field selectors of the events by which a rollout is judged: a failed startup probe is known by the kill."""

STARTUP_PROBE_FAILED = re.compile(r"Container (\S+) failed startup probe")
STARTUP_PROBE_SAID = re.compile(r"Startup probe failed: (.+)", re.DOTALL)
INSUFFICIENT = re.compile(r"Insufficient ([\w./-]*\w)")

PULL_DENIED = ("unauthorized", "denied", "forbidden", "no basic auth", "authentication required")
PULL_MISSING = ("not found", "manifest unknown", "name unknown", "repository does not exist")
OTHER_PLATFORM = "no match for platform"
PASSING = (
    *("timed out", "deadline exceeded", "failed to sync", "is reserved for", "connection refused"),
    "status unknown for quota",
)
"""A node that is overloaded, or has just come back; a quota not yet counted: tried again by themselves."""

CREATION_REFUSED = ("forbidden", "denied", "is invalid")
"""What quotas, admission policies and validation say; a webhook that does not answer is none of these."""


@dataclass(frozen=True)
class Failed:
    """It can't come right by itself: the cause, the pod and the container it was seen on, if any, the fault.

    It counts once it has been so for `patience` seconds without a break.
    """

    cause: str
    pod: str = ""
    fault: Fault = "infrastructure"
    patience: float = 0.0
    container: str = ""


def failure(snapshot: Snapshot) -> Failed | None:
    """The first fault of the new revision that waiting can't mend, or None."""
    refused = (_refused(replica_set, snapshot) for replica_set in new_replica_sets(snapshot))
    failing = (_failure_of(pod, snapshot) for pod in new_pods(snapshot) if not is_ready(pod))
    unplaced = (_unschedulable(pod, snapshot) for pod in new_pods(snapshot))
    return _first(refused) or _first(failing) or _first(unplaced)


def refusal(replica_set: Object) -> str:
    """Why the ReplicaSet's last attempt to create pods failed, or ""."""
    seen = replica_set.get("status", {}).get("observedGeneration", 0)
    if seen < replica_set["metadata"].get("generation", 0):
        return ""  # says something about an earlier report
    return next(
        (
            str(condition.get("message") or condition.get("reason"))
            for condition in conditions(replica_set)
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        ),
        "",
    )


def _first(failures: Iterable[Failed | None]) -> Failed | None:
    return next((failure for failure in failures if failure), None)


def _refused(replica_set: Object, snapshot: Snapshot) -> Failed | None:
    """A quota, an admission policy or a missing service account lets no pod be created at all."""
    said = refusal(replica_set)
    cause = f"no pod may be created: {said}"
    if "exceeded quota" in said:  # old pods count until they have ended
        return None if _room_may_come(snapshot) else Failed(cause, "", "configuration", ROOM_COMES_WITHIN)
    if _says(said, CREATION_REFUSED) and not _says(said, PASSING):
        return Failed(cause, "", "configuration")
    return None


def _unschedulable(pod: Object, snapshot: Snapshot) -> Failed | None:
    said = next((c.get("message", "") for c in conditions(pod) if c.get("reason") == "Unschedulable"), None)
    if said is None or _room_may_come(snapshot):
        return None
    if any(event.get("reason") == SCALE_UP for event in events_about([pod], snapshot.events)):
        return None
    short_of = " and ".join(dict.fromkeys(INSUFFICIENT.findall(said)))
    cause = f"no node has enough {short_of} for the pod" if short_of else "no node can take the pod"
    return Failed(f"{cause}: {said}", pod["metadata"]["name"], "infrastructure", ROOM_COMES_WITHIN)


def _room_may_come(snapshot: Snapshot) -> bool:
    """Whether old pods are leaving, or will once a new one that has its place gets ready."""
    old = old_pods(snapshot)
    starting = [
        pod for pod in new_pods(snapshot) if pod.get("spec", {}).get("nodeName") and not is_ready(pod)
    ]
    return any(is_ending(pod) for pod in old) or bool(old and starting)


def _failure_of(pod: Object, snapshot: Snapshot) -> Failed | None:
    events = events_about([pod], snapshot.events)
    for container in containers(pod):
        if failed := _failure_of_container(pod["metadata"]["name"], container, events):
            return replace(failed, container=container.name, fault=_fault(failed, container, snapshot))
    return None


def _fault(failed: Failed, container: Container, snapshot: Snapshot) -> Fault:
    """The image's only where it is the container that runs it: the manifests bring all others."""
    of_image = failed.fault == "image" and snapshot.app not in {"", container.name}
    return "configuration" if of_image else failed.fault


def _failure_of_container(pod: str, container: Container, events: tuple[Object, ...]) -> Failed | None:
    reason, message = container.waiting.get("reason", ""), container.waiting.get("message", "")
    if reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}:
        late = any(event.get("reason") == SECRET_NOT_THERE_YET for event in events)
        failed = _pull_failure(pod, container, message)
        if failed and late and _says(message, PULL_DENIED):
            return replace(failed, patience=SECRET_COMES_WITHIN)
        return failed
    if reason in {"CreateContainerConfigError", "CreateContainerError"}:
        cause = f"container {container.name} can't be created: {message}"
        return None if _says(message, PASSING) else Failed(cause, pod, "configuration")
    return _bad_start(pod, container) or _startup_probe(pod, container, events) or _crash_loop(pod, container)


def _pull_failure(pod: str, container: Container, message: str) -> Failed | None:
    """A registry that can't be reached may come back; one that says no will say it again."""
    image, reason = container.image, container.waiting.get("reason")
    if reason == "InvalidImageName":
        return Failed(f"{image} is not a valid image name", pod, "configuration")
    if reason == "ErrImageNeverPull":
        return Failed(f"{image} is not on the node, and may not be pulled", pod, "configuration")
    if _says(message, PULL_DENIED):
        return Failed(
            f"the registry refuses the cluster {image}: check the pull secret", pod, "configuration"
        )
    if OTHER_PLATFORM in message:
        return Failed(f"{image} was not built for the node's platform", pod, "image")
    if _says(message, PULL_MISSING):
        return Failed(f"the registry has no image {image}", pod, "image")
    return None


def _bad_start(pod: str, container: Container) -> Failed | None:
    crash = container.crash
    waiting = (
        container.waiting.get("message", "") if container.waiting.get("reason") == "RunContainerError" else ""
    )
    said = waiting or (crash.get("message", "") if crash.get("reason") == "StartError" else "")
    if said and not _says(said, PASSING):
        return Failed(f"container {container.name} can't be started: {said}", pod, "image")
    if crash.get("reason") != "OOMKilled":
        return None
    if container.memory_limit:
        needs = f"container {container.name} needs more than its memory limit of {container.memory_limit}"
        return Failed(f"{needs} (OOMKilled)", pod, "configuration")
    cause = f"the node ran out of memory for container {container.name}, which has no limit (OOMKilled)"
    return Failed(cause, pod, "infrastructure")


def _startup_probe(pod: str, container: Container, events: tuple[Object, ...]) -> Failed | None:
    """The probe's own threshold was the patience; without it, a kill looks like any crash."""
    if container.ready:
        return None
    killed = [STARTUP_PROBE_FAILED.search(event.get("message") or "") for event in events]
    if not any(match and match[1] == container.name for match in killed):
        return None
    said = [m[1].strip() for e in events if (m := STARTUP_PROBE_SAID.search(e.get("message") or ""))]
    cause = f"container {container.name} failed its startup probe"
    return Failed(f"{cause}: {said[-1]}" if said else cause, pod, "image")


def _crash_loop(pod: str, container: Container) -> Failed | None:
    looping = container.waiting.get("reason") == "CrashLoopBackOff"
    if not container.crash or not (looping or container.crashes >= CRASHES_BEFORE_GIVING_UP):
        return None
    code = container.crash.get("exitCode")
    return Failed(f"container {container.name} keeps crashing (exit code {code})", pod, "image")


def _says(message: str, words: Iterable[str]) -> bool:
    return any(word in message.lower() for word in words)
