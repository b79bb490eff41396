"""Verdicts over snapshots shaped as a real API server gives them, with states that were measured there."""

from typing import Any

import pytest

from flows.core.rollout import Done, Failed, Progressing, Snapshot, judge, new_pods

REVISION = {"deployment.kubernetes.io/revision": "2"}


def snapshot(
    *pods: dict[str, Any],
    conditions: tuple[dict[str, Any], ...] = (),
    events: tuple[dict[str, Any], ...] = (),
    **status: int,
) -> Snapshot:
    return Snapshot(
        deployment={
            "metadata": {"generation": 2, "annotations": REVISION},
            "spec": {"replicas": 2},
            "status": {"observedGeneration": 2, "conditions": conditions, **status},
        },
        replica_sets=(
            {"metadata": {"uid": "old", "annotations": {"deployment.kubernetes.io/revision": "1"}}},
            {"metadata": {"uid": "new", "annotations": REVISION}},
        ),
        pods=pods,
        events=events,
    )


def pod(
    state: dict[str, Any] | None = None,
    *,
    owner: str = "new",
    ready: bool = False,
    last: dict[str, Any] | None = None,
    restarts: int = 0,
    conditions: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    container = {
        "name": "app",
        "image": "registry/app@sha256:1",
        "state": state or {},
        "lastState": last or {},
        "restartCount": restarts,
        "ready": ready,
    }
    is_ready = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": {"name": f"{owner}-pod", "ownerReferences": [{"uid": owner}]},
        "status": {
            "phase": "Pending",
            "conditions": [is_ready, *conditions],
            "containerStatuses": [container] if state else [],
        },
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def test_all_new_and_available_and_no_old_one_left_is_done() -> None:
    assert judge(snapshot(replicas=2, updatedReplicas=2, availableReplicas=2)) == Done(2)


@pytest.mark.parametrize("last", [ended(255), ended(137, "OOMKilled")], ids=["node restarts", "memory"])
def test_what_a_ready_container_went_through_before_does_not_count(last: dict[str, Any]) -> None:
    pods = [pod(RUNNING, ready=True, last=last, restarts=3) for _ in range(2)]
    assert judge(snapshot(*pods, replicas=2, updatedReplicas=2, availableReplicas=2)) == Done(2)


def test_old_replicas_still_there_are_progress() -> None:
    verdict = judge(snapshot(pod(RUNNING, ready=True), replicas=3, updatedReplicas=2, availableReplicas=3))
    assert verdict == Progressing("1 of 2 new replicas ready; 1 old to go")


def test_a_change_the_controller_has_not_seen_is_never_done() -> None:
    seen = snapshot(replicas=2, updatedReplicas=2, availableReplicas=2)
    newer = {**seen.deployment, "metadata": {"generation": 3, "annotations": REVISION}}
    assert judge(Snapshot(newer)) == Progressing("the controller has not seen the change yet")


@pytest.mark.parametrize(
    ("failing", "cause"),
    [
        (
            pod(waiting("ErrImagePull", "registry/app@sha256:1: not found")),
            "the registry has no image registry/app@sha256:1",
        ),
        (
            pod(waiting("ImagePullBackOff", "manifest unknown")),
            "the registry has no image registry/app@sha256:1",
        ),
        (
            pod(waiting("ErrImagePull", "401 Unauthorized")),
            "the registry refuses the cluster registry/app@sha256:1: check the pull secret",
        ),
        (
            pod(waiting("CreateContainerConfigError", 'configmap "x" not found')),
            'container app can\'t be created: configmap "x" not found',
        ),
        (
            pod(waiting("CrashLoopBackOff"), last=ended(3), restarts=1),
            "container app keeps crashing (exit code 3)",
        ),
        (pod(ended(1), restarts=1), "container app keeps crashing (exit code 1)"),
        (
            pod(RUNNING, last=ended(137, "OOMKilled"), restarts=1),
            "container app needs more memory than its limit (OOMKilled)",
        ),
        (
            pod(ended(128, "StartError", 'exec: "nope": not found')),
            'container app can\'t be started: exec: "nope": not found',
        ),
    ],
    ids=[
        "missing",
        "missing, backing off",
        "denied",
        "config",
        "crash loop",
        "second crash",
        "memory",
        "command",
    ],
)
def test_what_cannot_come_right_by_itself_fails_before_the_deadline(
    failing: dict[str, Any], cause: str
) -> None:
    assert judge(snapshot(failing)) == Failed(cause, "new-pod")


@pytest.mark.parametrize(
    "passing",
    [
        pod(waiting("ContainerCreating")),
        pod(ended(1)),
        pod(RUNNING, last=ended(1), restarts=1),
        pod(waiting("ErrImagePull", "dial tcp 10.0.0.1:5000: connect: connection refused")),
        pod(RUNNING),
    ],
    ids=["starting", "the first crash", "one restart", "no route to the registry", "not ready yet"],
)
def test_what_may_pass_waits_for_the_deadline(passing: dict[str, Any]) -> None:
    assert isinstance(judge(snapshot(passing)), Progressing)


def test_a_pod_that_fits_on_no_node_names_the_resource() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/2 nodes are available: 2 Insufficient memory.",
    }
    verdict = judge(snapshot(pod(conditions=(condition,))))
    assert verdict == Failed(
        "no node can take the pod: 0/2 nodes are available: 2 Insufficient memory.", "new-pod"
    )


def test_a_quota_that_lets_no_pod_be_created_is_told() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    assert judge(snapshot(conditions=(condition,))) == Failed("no pod may be created: exceeded quota: pods")


def test_a_missing_volume_is_told_though_only_an_event_says_it() -> None:
    event = {
        "reason": "FailedMount",
        "message": 'secret "x" not found',
        "involvedObject": {"name": "new-pod"},
    }
    verdict = judge(snapshot(pod(waiting("ContainerCreating")), events=(event,)))
    assert verdict == Progressing(
        '0 of 2 new replicas ready; new-pod: ContainerCreating; secret "x" not found'
    )


def test_a_pull_denied_because_the_node_has_not_seen_the_secret_yet_may_pass() -> None:
    event = {
        "reason": "FailedToRetrieveImagePullSecret",
        "message": "Unable to retrieve some image pull secrets",
        "involvedObject": {"name": "new-pod"},
    }
    denied = pod(waiting("ErrImagePull", "authorization failed: no basic auth credentials"))
    verdict = judge(snapshot(denied, events=(event,)))
    assert isinstance(verdict, Progressing)
    assert "Unable to retrieve some image pull secrets" in verdict.waiting


def test_a_crashing_pod_of_the_old_revision_is_not_the_new_ones_fault() -> None:
    old = pod(waiting("CrashLoopBackOff"), owner="old", last=ended(1), restarts=5)
    assert isinstance(judge(snapshot(old)), Progressing)
    assert new_pods(snapshot(old)) == ()
