"""Verdicts over snapshots shaped as a real API server gives them, with states that were measured there."""

from dataclasses import replace

import pytest

from flows.core.rollout.containers import past_of
from flows.core.rollout.faults import (
    IDENTITY_COMES_WITHIN,
    IMAGE_COMES_WITHIN,
    QUOTA_FREE_WITHIN,
    SECRET_COMES_WITHIN,
)
from flows.core.rollout.judge import PAUSED_FOR, ended_well, judge
from flows.core.rollout.snapshot import (
    CONFIRMED_WITHIN,
    CONTAINER,
    DEFAULT_GRACE,
    EndingPods,
    Snapshot,
    new_pods,
    owned,
    selector,
)
from flows.core.rollout.verdict import Done, Failed, Progressing
from tests.core.rollouts import (
    DENIED,
    LATE_SECRET,
    PROBE_KILLED,
    QUOTA,
    READY,
    REVISION,
    RUNNING,
    Json,
    ended,
    event,
    pod,
    snapshot,
    waiting,
)


def test_all_new_and_available_and_no_old_one_left_is_done() -> None:
    assert judge(snapshot(READY, READY, all_new=True)) == Done(2)


@pytest.mark.parametrize("last", [ended(255), ended(137, "OOMKilled")], ids=["node restarts", "memory"])
def test_what_a_ready_container_went_through_before_does_not_count(last: Json) -> None:
    pods = [pod(RUNNING, ready=True, last=last, restarts=3) for _ in range(2)]
    assert judge(snapshot(*pods, events=(PROBE_KILLED,), all_new=True)) == Done(2)


@pytest.mark.parametrize(
    ("old", "waiting_for"),
    [
        ([pod(RUNNING, owner="old", ready=True)], "1 old replica still serving"),
        ([pod(RUNNING, owner="old", ending=True)] * 2, "2 old replicas still ending"),
        ([pod(ended(137), owner="old", ending=True, phase="Failed")], "1 old replica still ending"),
        ([pod(RUNNING, owner="of a ReplicaSet that is gone", ending=True)], "1 old replica still ending"),
    ],
    ids=["serving", "ending", "ended, but not gone", "orphaned"],
)
def test_it_is_not_done_while_an_old_pod_is_left(old: list[Json], waiting_for: str) -> None:
    assert judge(snapshot(READY, READY, *old, all_new=True)) == Progressing(
        f"2 of 2 new replicas ready; {waiting_for}"
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
            pod(waiting("ErrImagePull", "registry/app:1: not found"), image="registry/app:1"),
            "image",
            "the registry has no image registry/app:1",
        ),
        (
            pod(waiting("ImagePullBackOff", "manifest unknown"), image="registry/app:1"),
            "image",
            "the registry has no image registry/app:1",
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
            pod(waiting("CreateContainerConfigError", "image will run as root")),
            "configuration",
            "container app can't be created: image will run as root",
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


def test_an_app_above_its_memory_limit_may_be_what_has_to_change() -> None:
    killed = pod(RUNNING, last=ended(137, "OOMKilled"), restarts=1, limit="32Mi")
    verdict = judge(snapshot(killed))
    assert isinstance(verdict, Failed)
    assert verdict.remedy.startswith("Raise the memory limit in the manifests, or let the application need")


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
def test_a_failed_startup_probe_is_reported_once_the_container_is_killed_for_it(
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
    ("said", "patience"),
    [
        (QUOTA, QUOTA_FREE_WITHIN),
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


def test_a_missing_volume_is_reported_though_only_an_event_says_it() -> None:
    failed = event("FailedMount", 'secret "x" not found')
    assert judge(snapshot(pod(waiting("ContainerCreating")), events=(failed,))) == Progressing(
        '0 of 2 new replicas ready; new-pod: ContainerCreating; secret "x" not found', "configuration"
    )


def test_a_pull_denied_because_the_node_has_not_seen_the_secret_yet_may_pass() -> None:
    denied = pod(waiting("ErrImagePull", "authorization failed: no basic auth credentials"))
    verdict = judge(snapshot(denied, events=(LATE_SECRET,)))
    assert isinstance(verdict, Failed)
    assert verdict.patience == SECRET_COMES_WITHIN


def test_a_pull_denied_to_the_nodes_own_identity_may_pass_and_names_it() -> None:
    verdict = judge(snapshot(pod(waiting("ErrImagePull", DENIED), has_secret=False)))
    assert isinstance(verdict, Failed)
    assert verdict.patience == IDENTITY_COMES_WITHIN
    assert "give the nodes' identity the right to pull" in verdict.cause


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


@pytest.mark.parametrize(
    ("late", "fault", "patience"),
    [
        (waiting("ErrImagePull", "registry/app@sha256:1: not found"), "image", IMAGE_COMES_WITHIN),
        (
            waiting("CreateContainerConfigError", 'secret "db" not found'),
            "configuration",
            SECRET_COMES_WITHIN,
        ),
        (
            waiting("CreateContainerConfigError", 'configmap "words" not found'),
            "configuration",
            SECRET_COMES_WITHIN,
        ),
        (
            waiting("CreateContainerConfigError", "couldn't find key a in Secret staging/db"),
            "configuration",
            SECRET_COMES_WITHIN,
        ),
    ],
    ids=["digest on a registry's replica", "Secret", "ConfigMap", "a key"],
)
def test_what_may_be_there_a_moment_later_is_given_that_moment(
    late: Json, fault: str, patience: float
) -> None:
    verdict = judge(snapshot(pod(late)))
    assert isinstance(verdict, Failed)
    assert (verdict.fault, verdict.patience) == (fault, patience)


def test_a_failure_that_may_pass_does_not_hide_one_that_can_not() -> None:
    late = pod(waiting("CreateContainerConfigError", 'secret "db" not found'))
    crashing = pod(waiting("CrashLoopBackOff"), last=ended(3), restarts=3)
    verdict = judge(snapshot(late, crashing))
    assert isinstance(verdict, Failed)
    assert (verdict.cause, verdict.patience) == ("container app keeps crashing (exit code 3)", 0)


def looked_at_first(*pods: Json, then: Json) -> Snapshot:
    """What is seen of a pod whose watch began with others."""
    return replace(snapshot(then, READY), past=past_of(pods))


@pytest.mark.parametrize("last", [ended(255), ended(137, "OOMKilled")], ids=["crashes", "memory"])
def test_a_pod_that_misses_a_probe_is_not_judged_by_what_happened_before_the_watch(last: Json) -> None:
    blinking = pod(RUNNING, last=last, restarts=3)
    assert isinstance(judge(looked_at_first(blinking, then=blinking)), Progressing)
    again = pod(RUNNING, last=last, restarts=5)
    assert isinstance(judge(looked_at_first(blinking, then=again)), Failed)
    assert isinstance(judge(looked_at_first(then=blinking)), Failed)


def test_a_pod_that_waits_to_be_restarted_fails_whenever_its_crashes_were() -> None:
    looping = pod(waiting("CrashLoopBackOff"), last=ended(1), restarts=7)
    assert isinstance(judge(looked_at_first(looping, then=looping)), Failed)


NODE_IS_FULL = "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 2Mi. "
OWN_LIMITS = (
    'Usage of EmptyDir volume "tmp" exceeds the limit "512Mi". ',
    "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
    'Container app exceeded its local ephemeral storage limit "1Gi". ',
)


def evicted(message: str, reason: str = "Evicted") -> Json:
    gone = pod(phase="Failed")
    return {**gone, "status": {**gone["status"], "reason": reason, "message": message}}


@pytest.mark.parametrize("message", OWN_LIMITS)
def test_a_pod_that_is_evicted_by_its_own_limits_is_the_configurations_fault(message: str) -> None:
    seen = snapshot(evicted(message), pod(waiting("ContainerCreating")))
    verdict = judge(seen)
    assert verdict == Failed(f"the pod was evicted: {message.rstrip('. ')}", "new-pod", "configuration")
    before = replace(seen, past=past_of([evicted(message)]))
    assert isinstance(judge(before), Progressing)


@pytest.mark.parametrize(
    ("message", "reason"), [(NODE_IS_FULL, "Evicted"), ("Preempted by a pod", "Preempting"), ("", "NodeLost")]
)
def test_a_pod_that_had_to_leave_its_node_is_replaced(message: str, reason: str) -> None:
    seen = snapshot(evicted(message, reason), pod(waiting("ContainerCreating")))
    assert isinstance(judge(seen), Progressing)


PAUSE = {
    "manager": "kubectl-rollout",
    "time": "2026-01-01T00:00:00Z",
    "fieldsV1": {"f:spec": {"f:paused": {}}},
}


def paused(seen: Snapshot) -> Snapshot:
    deployment = seen.deployment
    metadata = {**deployment["metadata"], "managedFields": [PAUSE]}
    spec = {**deployment["spec"], "paused": True}
    return replace(seen, deployment={**deployment, "metadata": metadata, "spec": spec})


def test_a_paused_rollout_names_who_paused_it_and_what_ends_that() -> None:
    verdict = judge(paused(snapshot(READY, READY)))
    cause = "is paused by kubectl-rollout since 2026-01-01T00:00:00Z: `kubectl rollout resume` ends that"
    assert verdict == Failed(f"the Deployment {cause}", patience=PAUSED_FOR)


def test_a_paused_deployment_whose_replicas_are_all_of_its_newest_template_is_done() -> None:
    assert judge(paused(snapshot(READY, READY, all_new=True))) == Done(2)


@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        ({"matchLabels": {"app": "web", "tier": "front"}}, "app=web,tier=front"),
        (
            {
                "matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["web", "www"]},
                    {"key": "app", "operator": "NotIn", "values": ["job"]},
                    {"key": "tier", "operator": "Exists"},
                    {"key": "old", "operator": "DoesNotExist"},
                ]
            },
            "app in (web,www),app notin (job),tier,!old",
        ),
    ],
    ids=["labels", "expressions alone"],
)
def test_pods_are_asked_for_as_the_deployment_selects_them(wanted: Json, query: str) -> None:
    assert selector({"spec": {"selector": wanted}}) == query


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
