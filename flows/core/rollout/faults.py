"""What keeps a rollout from ever succeeding, and what is at fault.

What each fault looks like, and when it is first seen, was measured on a real cluster. States alternate
(waiting, terminated, waiting), so a container's `lastState` is read too.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from flows.core.errors import Fault
from flows.core.rollout.containers import Container, containers, evicted_by_its_limits
from flows.core.rollout.room import may_be_vacated, unschedulable
from flows.core.rollout.snapshot import (
    Object,
    Snapshot,
    conditions,
    ended_pods,
    events_about,
    is_ready,
    new_pods,
    new_replica_sets,
)
from flows.core.rollout.verdict import Failed

CRASHES_BEFORE_GIVING_UP = 2
"""One restart may be bad luck; the second crash of the same container is the image's own."""

QUOTA_FREE_WITHIN = 60.0
"""Seconds in which no pod comes or goes: a refused ReplicaSet tries again after ever longer pauses (the
controller's AddRateLimited), and nothing else wakes it."""

SECRET_NOT_THERE_YET = "FailedToRetrieveImagePullSecret"  # noqa: S105  # a name, no password
"""Reason of an event where a node has just joined or a secret was just made: the next pull is allowed."""

SECRET_COMES_WITHIN = 35.0
"""Seconds after which a pull secret counts as missing: the kubelet pulls again after ten and after thirty,
and on a busy node the first of these may find no secret yet. The same holds for a Secret or ConfigMap from
which containers take their variables: an operator may make it a moment later."""

IDENTITY_COMES_WITHIN = 120.0
"""Seconds after which nodes without a pull secret count as refused: a registry that was just attached to the
cluster refuses a node's own identity for a minute or two."""

IMAGE_COMES_WITHIN = 60.0
"""Seconds after which the image counts as missing. The registry has just confirmed the released digest, but
its replica near the cluster may lag."""

TROUBLE = ("type!=Normal", "reason=Killing")
"""Field selectors of the events by which a rollout is judged: a failed startup probe is known by the kill."""

STARTUP_PROBE_FAILED = re.compile(r"Container (\S+) failed startup probe")
STARTUP_PROBE_SAID = re.compile(r"Startup probe failed: (.+)", re.DOTALL)

PULL_DENIED = ("unauthorized", "denied", "forbidden", "no basic auth", "authentication required")
REFUSED = "the registry refuses the cluster"
PULL_MISSING = ("not found", "manifest unknown", "name unknown", "repository does not exist")
OTHER_PLATFORM = "no match for platform"
PASSING = (
    *("timed out", "deadline exceeded", "failed to sync", "is reserved for", "connection refused"),
    "status unknown for quota",
)
"""What the kubelet says of an overloaded node or one that has just come back, and the API server of a quota
that is not counted yet. Kubernetes tries these again by itself."""

NOT_MADE_YET = ("not found", "couldn't find key")
LESS_MEMORY = "Raise the memory limit in the manifests, or let the application need less, and release again."

CREATION_REFUSED = ("forbidden", "denied", "is invalid")
"""What quotas, admission policies and validation say; a webhook that does not answer says none of these."""


def failure(snapshot: Snapshot) -> Failed | None:
    """The first fault of the new revision that waiting can't mend, or None."""
    refused = (_refused(replica_set, snapshot) for replica_set in new_replica_sets(snapshot))
    evicted = (_evicted(pod) for pod in ended_pods(snapshot))
    late = [pod for pod in new_pods(snapshot) if not is_ready(pod)]
    return most_certain([*refused, *evicted, failure_of(late, snapshot)])


def failure_of(pods: Sequence[Object], snapshot: Snapshot, *, retried: bool = False) -> Failed | None:
    """The first fault of these pods that waiting can't mend, or None; `retried` where a Job repeats crashed
    pods by itself."""
    failing = (_failure_of(pod, snapshot, retried=retried) for pod in pods)
    return most_certain([*failing, *(unschedulable(pod, snapshot) for pod in pods)])


def most_certain(failures: Iterable[Failed | None]) -> Failed | None:
    """The failure that needs the least patience, the first of several; None where there is none."""
    return min((one for one in failures if one), key=lambda one: one.patience, default=None)


def refusal(replica_set: Object) -> str:
    """Why the ReplicaSet's last attempt to create pods failed, or ""."""
    seen = replica_set.get("status", {}).get("observedGeneration", 0)
    if seen < replica_set["metadata"].get("generation", 0):
        return ""  # the condition is of an earlier generation
    return next(
        (
            str(condition.get("message") or condition.get("reason"))
            for condition in conditions(replica_set)
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        ),
        "",
    )


def _refused(replica_set: Object, snapshot: Snapshot) -> Failed | None:
    """Where a quota, an admission policy or a missing service account lets no pod be created at all."""
    said = refusal(replica_set)
    cause = f"no pod may be created: {said}"
    if "exceeded quota" in said:  # old pods count until they have ended
        return None if may_be_vacated(snapshot) else Failed(cause, "", "configuration", QUOTA_FREE_WITHIN)
    if _says(said, CREATION_REFUSED) and not _says(said, PASSING):
        return Failed(cause, "", "configuration")
    return None


def _evicted(pod: Object) -> Failed | None:
    """Where the pod's own limits evicted it, which the next pod reaches too. A pod whose node had no room is
    replaced."""
    said = evicted_by_its_limits(pod)
    return Failed(f"the pod was evicted: {said}", pod["metadata"]["name"], "configuration") if said else None


def _failure_of(pod: Object, snapshot: Snapshot, *, retried: bool) -> Failed | None:
    events = events_about([pod], snapshot.events)
    for container in containers(pod, snapshot.past):
        if failed := _failure_of_container(pod["metadata"]["name"], container, events, retried=retried):
            if failed.cause.startswith(REFUSED) and not pod["spec"].get("imagePullSecrets"):
                failed = _identity_refused(failed, container)
            return replace(failed, container=container.name, fault=_fault(failed, container, snapshot))
    return None


def _identity_refused(failed: Failed, container: Container) -> Failed:
    cause = (
        f"{REFUSED} {container.image}: give the nodes' identity the right to pull (on AKS the kubelet's, the "
        "role AcrPull), or the pods a pull secret"
    )
    return replace(failed, cause=cause, patience=IDENTITY_COMES_WITHIN)


def _fault(failed: Failed, container: Container, snapshot: Snapshot) -> Fault:
    """The image's only where the container runs the released image: the manifests bring all others."""
    of_others = failed.fault == "image" and not snapshot.runs_released(container.name)
    return "configuration" if of_others else failed.fault


def _failure_of_container(
    pod: str, container: Container, events: tuple[Object, ...], *, retried: bool
) -> Failed | None:
    reason, message = container.waiting.get("reason", ""), container.waiting.get("message", "")
    if reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}:
        late = any(event.get("reason") == SECRET_NOT_THERE_YET for event in events)
        failed = _pull_failure(pod, container, message)
        if failed and late and _says(message, PULL_DENIED):
            return replace(failed, patience=SECRET_COMES_WITHIN)
        return failed
    if reason in {"CreateContainerConfigError", "CreateContainerError"}:
        cause = f"container {container.name} can't be created: {message}"
        is_late = reason == "CreateContainerConfigError" and _says(message, NOT_MADE_YET)
        patience = SECRET_COMES_WITHIN if is_late else 0
        return None if _says(message, PASSING) else Failed(cause, pod, "configuration", patience)
    ended = _bad_start(pod, container) or _startup_probe(pod, container, events)
    return ended or (None if retried else _crash_loop(pod, container))


def _pull_failure(pod: str, container: Container, message: str) -> Failed | None:
    """Where the registry refused; one that can't be reached may come back."""
    image, reason = container.image, container.waiting.get("reason")
    if reason == "InvalidImageName":
        return Failed(f"{image} is not a valid image name", pod, "configuration")
    if reason == "ErrImageNeverPull":
        return Failed(f"{image} is not on the node, and may not be pulled", pod, "configuration")
    if _says(message, PULL_DENIED):
        return Failed(f"{REFUSED} {image}: check the pull secret", pod, "configuration")
    if OTHER_PLATFORM in message:
        return Failed(f"{image} was not built for the node's platform", pod, "image")
    if _says(message, PULL_MISSING):
        patience = IMAGE_COMES_WITHIN if "@sha256:" in image else 0
        return Failed(f"the registry has no image {image}", pod, "image", patience)
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
        return Failed(f"{needs} (OOMKilled)", pod, "configuration", remedy=LESS_MEMORY)
    cause = f"the node ran out of memory for container {container.name}, which has no limit (OOMKilled)"
    return Failed(cause, pod, "infrastructure")


def _startup_probe(pod: str, container: Container, events: tuple[Object, ...]) -> Failed | None:
    """Where the startup probe failed. Its threshold was the patience already. Only the event distinguishes
    this kill from a crash."""
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
