"""Verdicts over snapshots shaped as a real API server gives them, with states that were measured there."""

from dataclasses import replace
from typing import Any

import pytest

from flows.core.rollout.faults import ROOM_COMES_WITHIN, SECRET_COMES_WITHIN, Failed
from flows.core.rollout.judge import Done, Progressing, ended_well, judge
from flows.core.rollout.snapshot import (
    CONFIRMED_WITHIN,
    CONTAINER,
    DEFAULT_GRACE,
    EndingPods,
    Snapshot,
    new_pods,
    owned,
)

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
) -> Json:
    container = {
        "name": "app",
        "image": "registry/app@sha256:1",
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
        },
        "status": {
            "phase": phase,
            "conditions": [is_ready, *([condition] if condition else [])],
            f"{kind}Statuses": [container] if state else [],
        },
    }


def event(reason: str, message: str, about: str = "new-pod-uid") -> Json:
    return {"reason": reason, "message": message, "involvedObject": {"name": "new-pod", "uid": about}}


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", message: str = "") -> Json:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
READY = pod(RUNNING, ready=True)
PROBE_KILLED = event("Killing", "Container app failed startup probe, will be restarted")
LATE_SECRET = event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets")
QUOTA = 'pods "new-pod" is forbidden: exceeded quota: small, requested: pods=1'


def test_all_new_and_available_and_no_old_one_left_is_done() -> None:
    assert judge(snapshot(READY, READY, all_new=True)) == Done(2)


@pytest.mark.parametrize("last", [ended(255), ended(137, "OOMKilled")], ids=["node restarts", "memory"])
def test_what_a_ready_container_went_through_before_does_not_count(last: Json) -> None:
    pods = [pod(RUNNING, ready=True, last=last, restarts=3) for _ in range(2)]
    assert judge(snapshot(*pods, events=(PROBE_KILLED,), all_new=True)) == Done(2)


@pytest.mark.parametrize(
    ("old", "told"),
    [
        ([pod(RUNNING, owner="old", ready=True)], "1 old replica still serving"),
        ([pod(RUNNING, owner="old", ending=True)] * 2, "2 old replicas still ending"),
        ([pod(ended(137), owner="old", ending=True, phase="Failed")], "1 old replica still ending"),
        ([pod(RUNNING, owner="of a ReplicaSet that is gone", ending=True)], "1 old replica still ending"),
    ],
    ids=["serving", "ending", "ended, but not gone", "orphaned"],
)
def test_it_is_not_done_while_an_old_pod_is_left(old: list[Json], told: str) -> None:
    assert judge(snapshot(READY, READY, *old, all_new=True)) == Progressing(
        f"2 of 2 new replicas ready; {told}"
    )


def beside(pod: Json, name: str, *, kind: str = "container", always: bool = False) -> Json:
    """The same as of a container of another name, in a pod whose app runs well, or waits for it to end."""
    entry = {**pod["status"]["containerStatuses"][0], "name": name}
    policy = {"restartPolicy": "Always"} if always else {}
    app = [] if kind == "initContainer" and not always else READY["status"]["containerStatuses"]
    specs = {"containers": [{"name": "app"}], **({} if kind == "container" else {"initContainers": []})}
    specs[f"{kind}s"] = [*specs[f"{kind}s"], {"name": name, **policy}]
    statuses: Json = {"containerStatuses": app}
    statuses[f"{kind}Statuses"] = [*statuses.get(f"{kind}Statuses", []), entry]
    conditions = pod["status"]["conditions"]
    return {
        **pod,
        "spec": {**pod["spec"], **specs},
        "status": {"phase": "Running", "conditions": conditions, **statuses},
    }


def of_app(seen: Snapshot) -> Snapshot:
    """As of a release that wrote down which container runs its image."""
    metadata = seen.deployment["metadata"]
    annotations = {**metadata["annotations"], CONTAINER: "app"}
    return replace(seen, deployment={**seen.deployment, "metadata": {**metadata, "annotations": annotations}})


LOOPS = pod(waiting("CrashLoopBackOff"), last=ended(1), restarts=3)
NO_IMAGE = pod(waiting("ErrImagePull", "docker.io/istio/proxyv2:1.99: not found"))


@pytest.mark.parametrize(
    ("sick", "fault"),
    [
        (LOOPS, "image"),
        (beside(LOOPS, "proxy"), "configuration"),
        (beside(NO_IMAGE, "proxy"), "configuration"),
        (beside(LOOPS, "migrate", kind="initContainer"), "configuration"),
        (beside(LOOPS, "proxy", kind="initContainer", always=True), "configuration"),
    ],
    ids=["the app", "a sidecar", "a sidecar's image", "an init container", "a native sidecar"],
)
def test_only_what_the_released_image_runs_is_the_images_fault(sick: Json, fault: str) -> None:
    verdict = judge(of_app(snapshot(sick, sick)))
    assert isinstance(verdict, Failed)
    assert verdict.fault == fault


def test_the_container_that_failed_is_named_for_its_log() -> None:
    verdict = judge(of_app(snapshot(beside(LOOPS, "proxy"))))
    assert isinstance(verdict, Failed)
    assert (verdict.pod, verdict.container) == ("new-pod", "proxy")


def test_a_native_sidecar_that_ends_again_and_again_is_a_crash() -> None:
    ends = pod(waiting("CrashLoopBackOff"), last=ended(0), restarts=3)
    sidecar = beside(ends, "proxy", kind="initContainer", always=True)
    assert isinstance(judge(of_app(snapshot(sidecar))), Failed)
    once = beside(ends, "migrate", kind="initContainer")
    assert isinstance(judge(of_app(snapshot(once))), Progressing)


@pytest.mark.parametrize(
    ("late", "fault"),
    [
        (pod(RUNNING), "image"),
        (beside(pod(RUNNING), "wait-for-database", kind="initContainer"), "infrastructure"),
        (beside(pod(RUNNING), "proxy"), "infrastructure"),
    ],
    ids=["the app", "an init container", "a sidecar"],
)
def test_what_is_not_ready_at_the_end_of_the_time_is_the_images_fault_only_where_its_app_runs(
    late: Json, fault: str
) -> None:
    verdict = judge(of_app(snapshot(late, late)))
    assert isinstance(verdict, Progressing)
    assert verdict.fault == fault


def test_only_what_the_deployment_owns_is_its_rollout() -> None:
    mine = {"metadata": {"uid": "mine", "ownerReferences": [{"uid": "app"}]}}
    others = {"metadata": {"uid": "others", "ownerReferences": [{"uid": "worker"}]}}
    pods = [pod(RUNNING, owner=owner) for owner in ("mine", "others", "gone")]
    found = owned({"metadata": {"uid": "app"}}, [mine, others], pods)
    assert found.replica_sets == (mine,)
    assert [one["metadata"]["name"] for one in found.pods] == ["mine-pod", "gone-pod"]


BY_TAINT = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
BY_EVICTION = BY_TAINT | {"reason": "EvictionByEvictionAPI"}


@pytest.mark.parametrize(
    ("old", "seconds", "expected"),
    [
        (pod(RUNNING, owner="old", ending=True), 0, Progressing),
        (pod(RUNNING, owner="old", ending=True), DEFAULT_GRACE + CONFIRMED_WITHIN, Progressing),
        (pod(RUNNING, owner="old", ending=True), DEFAULT_GRACE + CONFIRMED_WITHIN + 1, Done),
        (pod(RUNNING, owner="old", ending=True, condition=BY_TAINT), 0, Done),
        (pod(RUNNING, owner="old", ending=True, condition=BY_EVICTION), 0, Progressing),
        (pod(RUNNING, owner="old", ending=True, condition=BY_TAINT, ready=True), 0, Progressing),
        (pod(RUNNING, owner="old", condition=BY_TAINT), 1000, Progressing),
    ],
    ids=[
        "just deleted",
        "in its time",
        "overdue",
        "on a node that answers no more",
        "evicted",
        "still serving",
        "not deleted",
    ],
)
def test_an_old_pod_whose_end_no_node_confirms_holds_up_no_rollout(
    old: Json, seconds: float, expected: type[Done] | type[Progressing]
) -> None:
    ending = EndingPods()
    ending.lost([old], 100)
    lost = ending.lost([old], 100 + seconds)
    seen = replace(snapshot(READY, READY, old, all_new=True), lost=lost)
    assert isinstance(judge(seen), expected)


def test_how_long_a_pod_has_been_ending_is_counted_from_when_it_was_first_seen_so() -> None:
    late, other = pod(RUNNING, owner="old", ending=True), pod(RUNNING, owner="older", ending=True)
    ending, overdue = EndingPods(), DEFAULT_GRACE + CONFIRMED_WITHIN + 1
    assert ending.lost([late], 0) == frozenset()
    assert ending.lost([late, other], overdue) == {"old-pod-uid"}
    assert ending.lost([other], 2 * overdue) == {"older-pod-uid"}
    assert ending.lost([late], 3 * overdue) == frozenset()


def test_quota_and_room_are_not_waited_for_because_of_a_pod_that_is_lost() -> None:
    lost = pod(RUNNING, owner="old", ending=True)
    held_up = snapshot(lost, refusal=QUOTA)
    assert isinstance(judge(held_up), Progressing)
    assert isinstance(judge(replace(held_up, lost=frozenset({"old-pod-uid"}))), Failed)


@pytest.mark.parametrize("owner", ["old", "new"])
def test_an_evicted_pod_that_only_stays_on_the_list_does_not_count(owner: str) -> None:
    evicted = pod(owner=owner, phase="Failed")
    seen = snapshot(READY, READY, evicted, all_new=True)
    assert judge(seen) == Done(2)
    assert new_pods(seen) == (READY, READY)


def test_a_change_the_controller_has_not_seen_is_never_done() -> None:
    seen = snapshot(all_new=True)
    newer = {**seen.deployment, "metadata": {"generation": 3, "annotations": REVISION}}
    assert judge(Snapshot(newer)) == Progressing("the controller has not seen the change yet")


def test_a_bad_revisions_pods_are_not_judged_while_an_older_replica_set_is_taken_up_again() -> None:
    bad = snapshot(pod(waiting("ErrImagePull", "not found")))
    assert isinstance(judge(bad), Failed)
    good = {"metadata": {"uid": "old", "annotations": {"deployment.kubernetes.io/revision": "10"}}}
    undone = replace(bad, replica_sets=(good, bad.replica_sets[1]))
    assert judge(undone) == Progressing("the controller has not named the new revision yet")


@pytest.mark.parametrize(
    ("failing", "fault", "cause"),
    [
        (
            pod(waiting("ErrImagePull", "registry/app@sha256:1: not found")),
            "image",
            "the registry has no image registry/app@sha256:1",
        ),
        (
            pod(waiting("ImagePullBackOff", "manifest unknown")),
            "image",
            "the registry has no image registry/app@sha256:1",
        ),
        (
            pod(waiting("ErrImagePull", "no match for platform in manifest: not found")),
            "image",
            "registry/app@sha256:1 was not built for the node's platform",
        ),
        (
            pod(waiting("InvalidImageName")),
            "configuration",
            "registry/app@sha256:1 is not a valid image name",
        ),
        (
            pod(waiting("ErrImageNeverPull")),
            "configuration",
            "registry/app@sha256:1 is not on the node, and may not be pulled",
        ),
        (
            pod(waiting("ErrImagePull", DENIED)),
            "configuration",
            "the registry refuses the cluster registry/app@sha256:1: check the pull secret",
        ),
        (
            pod(waiting("CreateContainerConfigError", 'configmap "x" not found')),
            "configuration",
            'container app can\'t be created: configmap "x" not found',
        ),
        (
            pod(waiting("CrashLoopBackOff"), last=ended(3), restarts=1),
            "image",
            "container app keeps crashing (exit code 3)",
        ),
        (pod(ended(1), restarts=1), "image", "container app keeps crashing (exit code 1)"),
        (
            pod(waiting("CrashLoopBackOff"), last=ended(0, "Completed"), restarts=1),
            "image",
            "container app keeps crashing (exit code 0)",
        ),
        (
            pod(waiting("CrashLoopBackOff"), last=ended(1), restarts=1, init=True),
            "image",
            "container app keeps crashing (exit code 1)",
        ),
        (
            pod(RUNNING, last=ended(137, "OOMKilled"), restarts=1, limit="32Mi"),
            "configuration",
            "container app needs more than its memory limit of 32Mi (OOMKilled)",
        ),
        (
            pod(ended(137, "OOMKilled")),
            "infrastructure",
            "the node ran out of memory for container app, which has no limit (OOMKilled)",
        ),
        (
            pod(ended(128, "StartError", 'exec: "nope": not found')),
            "image",
            'container app can\'t be started: exec: "nope": not found',
        ),
        (
            pod(waiting("RunContainerError", 'exec: "nope": not found')),
            "image",
            'container app can\'t be started: exec: "nope": not found',
        ),
    ],
    ids=[
        "missing",
        "missing, backing off",
        "other platform",
        "invalid name",
        "never pulled",
        "denied",
        "config",
        "crash loop",
        "second crash",
        "a server that ends",
        "crashing init container",
        "memory limit",
        "memory of the node",
        "command",
        "command, waiting",
    ],
)
def test_what_cannot_come_right_by_itself_fails_before_the_deadline(
    failing: Json, fault: str, cause: str
) -> None:
    verdict = judge(snapshot(failing))
    assert isinstance(verdict, Failed)
    assert (verdict.cause, verdict.pod, verdict.fault) == (cause, "new-pod", fault)
    assert verdict.patience == 0


@pytest.mark.parametrize(
    "passing",
    [
        pod(waiting("ContainerCreating")),
        pod(ended(1)),
        pod(RUNNING, last=ended(1), restarts=1),
        pod(waiting("ErrImagePull", "dial tcp 10.0.0.1:5000: connect: connection refused")),
        pod(waiting("CreateContainerConfigError", "failed to sync configmap cache: timed out waiting")),
        pod(waiting("CreateContainerError", "context deadline exceeded")),
        pod(waiting("RunContainerError", "context deadline exceeded")),
        pod(RUNNING),
        pod(ended(0, "Completed"), init=True, restarts=2),
    ],
    ids=[
        "starting",
        "the first crash",
        "one restart",
        "no route to the registry",
        "node slow to hear of a ConfigMap",
        "node slow to create",
        "node slow to start",
        "not ready yet",
        "init container done",
    ],
)
def test_what_may_pass_waits_for_the_deadline(passing: Json) -> None:
    assert isinstance(judge(snapshot(passing)), Progressing)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ((), "container app failed its startup probe"),
        (
            (event("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 500"),),
            "container app failed its startup probe: HTTP probe failed with statuscode: 500",
        ),
    ],
    ids=["killed", "with the reason"],
)
def test_a_failed_startup_probe_is_told_once_the_container_is_killed_for_it(
    said: tuple[Json, ...], cause: str
) -> None:
    assert isinstance(judge(snapshot(pod(RUNNING), events=said)), Progressing)
    verdict = judge(snapshot(pod(RUNNING), events=(*said, PROBE_KILLED)))
    assert verdict == Failed(cause, "new-pod", "image", container="app")


def test_events_about_other_pods_do_not_count() -> None:
    killed = {**PROBE_KILLED, "involvedObject": {"name": "new-pod", "uid": "an older pod's"}}
    assert isinstance(judge(snapshot(pod(RUNNING), events=(killed,))), Progressing)
    late = {**LATE_SECRET, "involvedObject": {"name": "new-pod", "uid": "an older pod's"}}
    assert isinstance(judge(snapshot(pod(waiting("ErrImagePull", DENIED)), events=(late,))), Failed)


@pytest.mark.parametrize(
    ("condition", "cause"),
    [
        (NO_MEMORY, "no node has enough memory for the pod"),
        (NO_ROOM, "no node has enough cpu and memory for the pod"),
        (NO_PLACE, "no node can take the pod"),
    ],
    ids=["memory", "two resources", "taints"],
)
def test_a_pod_that_fits_on_no_node_names_the_resource(condition: Json, cause: str) -> None:
    told = f"{cause}: {condition['message']}"
    failed = Failed(told, "new-pod", "infrastructure", ROOM_COMES_WITHIN)
    assert judge(snapshot(pod(condition=condition))) == failed


@pytest.mark.parametrize(
    "others",
    [
        [pod(RUNNING, owner="old", ending=True)],
        [pod(RUNNING, owner="old", ready=True), pod(waiting("ContainerCreating"))],
    ],
    ids=["an old pod is ending", "an old one goes when the one that starts is ready"],
)
@pytest.mark.parametrize("refused", ["by the scheduler", "by a quota"])
def test_a_pod_that_waits_for_old_ones_to_make_room_is_progress(others: list[Json], refused: str) -> None:
    seen = (
        snapshot(pod(condition=NO_MEMORY), *others)
        if refused == "by the scheduler"
        else snapshot(*others, refusal=QUOTA)
    )
    assert isinstance(judge(seen), Progressing)


@pytest.mark.parametrize("starting", [[], [READY]], ids=["none started", "those that fit are ready"])
def test_old_pods_that_nothing_makes_leave_make_no_room(starting: list[Json]) -> None:
    old = pod(RUNNING, owner="old", ready=True)
    assert isinstance(judge(snapshot(pod(condition=NO_MEMORY), old, *starting)), Failed)


def test_a_pod_for_which_a_node_is_being_added_is_progress() -> None:
    coming = event("TriggeredScaleUp", "pod triggered scale-up: [{nodes 2->3 (max: 5)}]")
    assert isinstance(judge(snapshot(pod(condition=NO_MEMORY), events=(coming,))), Progressing)


@pytest.mark.parametrize(
    ("said", "patience"),
    [
        (QUOTA, ROOM_COMES_WITHIN),
        (
            'pods "new-pod" is forbidden: error looking up service account x/y: serviceaccount "y" not found',
            0,
        ),
        ('pods "new-pod" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', 0),
        ('admission webhook "policy.example" denied the request: no', 0),
        ('Pod "new-pod" is invalid: spec.containers[0].image: Required value', 0),
    ],
    ids=["quota", "service account", "pod security", "webhook", "invalid"],
)
def test_a_pod_that_may_not_be_created_is_the_configurations_fault(said: str, patience: float) -> None:
    failed = Failed(f"no pod may be created: {said}", "", "configuration", patience)
    assert judge(snapshot(refusal=said)) == failed


@pytest.mark.parametrize(
    "said",
    [
        'Internal error occurred: failed calling webhook "policy.example": connection refused',
        'pods "new-pod" is forbidden: status unknown for quota: small, resources: pods',
    ],
    ids=["webhook away", "quota not counted yet"],
)
def test_a_pod_whose_creation_was_not_decided_may_pass(said: str) -> None:
    verdict = Progressing(f"0 of 2 new replicas ready; {said}", "configuration")
    assert judge(snapshot(refusal=said)) == verdict


def test_a_missing_volume_is_told_though_only_an_event_says_it() -> None:
    failed = event("FailedMount", 'secret "x" not found')
    assert judge(snapshot(pod(waiting("ContainerCreating")), events=(failed,))) == Progressing(
        '0 of 2 new replicas ready; new-pod: ContainerCreating; secret "x" not found', "configuration"
    )


def test_a_pull_denied_because_the_node_has_not_seen_the_secret_yet_may_pass() -> None:
    denied = pod(waiting("ErrImagePull", "authorization failed: no basic auth credentials"))
    verdict = judge(snapshot(denied, events=(LATE_SECRET,)))
    assert isinstance(verdict, Failed)
    assert verdict.patience == SECRET_COMES_WITHIN


@pytest.mark.parametrize(
    ("pods", "fault"),
    [
        ([pod(RUNNING)] * 2, "image"),
        ([pod(ended(1)), READY], "image"),
        ([pod(RUNNING), pod(waiting("ContainerCreating"))], "infrastructure"),
        ([pod(waiting("ErrImagePull", "i/o timeout"))], "infrastructure"),
        ([], "infrastructure"),
    ],
    ids=["never ready", "crashed once", "one never ran", "no route to the registry", "no pods"],
)
def test_whose_fault_it_is_if_it_stays_like_this(pods: list[Json], fault: str) -> None:
    verdict = judge(snapshot(*pods))
    assert isinstance(verdict, Progressing)
    assert verdict.fault == fault


def test_a_crashing_pod_of_the_old_revision_is_not_the_new_ones_fault() -> None:
    old = pod(waiting("CrashLoopBackOff"), owner="old", last=ended(1), restarts=5)
    assert isinstance(judge(snapshot(old)), Progressing)
    assert new_pods(snapshot(old)) == ()


COMPLETE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
UNDER_WAY = COMPLETE | {"reason": "ReplicaSetUpdated"}
LATE = COMPLETE | {"status": "False", "reason": "ProgressDeadlineExceeded"}
AVAILABLE = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}


@pytest.mark.parametrize(
    ("status", "well"),
    [
        ({"replicas": 2, "updatedReplicas": 2, "conditions": [AVAILABLE, COMPLETE]}, True),
        ({"replicas": 2, "updatedReplicas": 2, "unavailableReplicas": 1, "conditions": [COMPLETE]}, True),
        ({"conditions": [COMPLETE]}, True),
        ({"replicas": 2, "updatedReplicas": 2, "conditions": [AVAILABLE, UNDER_WAY]}, False),
        ({"replicas": 2, "updatedReplicas": 2, "conditions": [LATE]}, False),
        ({"replicas": 2, "conditions": [COMPLETE]}, False),
        ({"replicas": 2, "updatedReplicas": 2, "conditions": [COMPLETE], "observedGeneration": 1}, False),
        ({"replicas": 2, "updatedReplicas": 2}, False),
    ],
    ids=[
        "all available",
        "one has gone since",
        "of no replicas",
        "under way",
        "not in time",
        "a ReplicaSet is just being used again",
        "not seen yet",
        "nothing is remembered",
    ],
)
def test_a_rollout_that_ended_well_stays_so_until_the_next_one(status: Json, well: bool) -> None:
    deployment = {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, **status}}
    assert ended_well(deployment) is well
