"""A release of several workloads: other Deployments and Jobs are judged with the app's."""

from dataclasses import replace
from typing import Any

import pytest

from flows.core.errors import Fault
from flows.core.rollout.snapshot import Snapshot
from flows.core.rollout.verdict import Done, Failed, Progressing
from flows.core.rollout.workloads import is_watched, judge_each, judge_job, title, together
from tests.core.rollouts import (
    NO_MEMORY,
    READY,
    RUNNING,
    Json,
    ended,
    event,
    pod,
    snapshot,
    waiting,
)

WORKER = "Deployment worker"
LOOPS = pod(waiting("CrashLoopBackOff"), last=ended(1), restarts=3)
COMPLETE = {"type": "Complete", "status": "True"}
FAILED = {
    "type": "Failed",
    "status": "True",
    "reason": "BackoffLimitExceeded",
    "message": "Job has reached the specified backoff limit",
}


def worker(*pods: Json, all_new: bool = False) -> Snapshot:
    """Of a Deployment that does not run the released image."""
    return replace(snapshot(*pods, all_new=all_new), released=frozenset())


def job(*pods: Json, condition: Json | None = None, released: bool = True, **changes: Any) -> Snapshot:
    conditions = [condition] if condition else []
    return Snapshot(
        deployment={
            "kind": "Job",
            "metadata": {"name": "migrate", "uid": "job"},
            "spec": changes.pop("spec", {}),
            "status": {"conditions": conditions, **changes},
        },
        pods=pods,
        released=frozenset({"app"} if released else ()),
    )


def test_a_worker_that_crashes_fails_the_release_whose_app_is_well() -> None:
    app, other = judge_each([snapshot(READY, READY, all_new=True), worker(LOOPS)])
    verdict = together(app, [(WORKER, other)])
    assert isinstance(verdict, Failed)
    assert verdict.cause == f"{WORKER}: container app keeps crashing (exit code 1)"
    assert verdict.fault == "configuration"


def test_a_worker_that_runs_the_released_image_and_crashes_is_the_images_fault() -> None:
    ours = replace(worker(LOOPS), released=frozenset({"app"}))
    verdict = together(Done(2), [(WORKER, judge_each([ours])[0])])
    assert isinstance(verdict, Failed)
    assert verdict.fault == "image"


def test_a_release_is_done_once_all_its_workloads_are() -> None:
    late = judge_each([worker(pod(waiting("ContainerCreating")))])[0]
    assert together(Done(2), [(WORKER, late)]) == Progressing(
        f"{WORKER}: 0 of 2 new replicas ready; new-pod: ContainerCreating"
    )
    assert together(Done(2), [(WORKER, Done(1)), ("Job migrate", Done(0))]) == Done(2)


def test_all_that_is_waited_for_is_said_the_apps_first() -> None:
    app = Progressing("1 of 2 new replicas ready", "image")
    state = together(app, [(WORKER, Progressing("0 of 1 new replicas ready"))])
    progress = f"1 of 2 new replicas ready; {WORKER}: 0 of 1 new replicas ready"
    assert state == Progressing(progress, "image")


def test_a_node_that_comes_for_one_workload_is_waited_for_by_all() -> None:
    coming = event("TriggeredScaleUp", "pod triggered scale-up")
    app, other = judge_each(
        [snapshot(pod(condition=NO_MEMORY), events=(coming,)), worker(pod(condition=NO_MEMORY))]
    )
    state = together(app, [(WORKER, other)])
    assert isinstance(state, Progressing)
    assert state.coming == "a node is being added"
    assert f"{WORKER}: no node has enough memory" in state.waiting


def test_a_job_is_done_when_it_has_completed_or_waits_for_a_person() -> None:
    assert judge_job(job(condition=COMPLETE)) == Done(0)
    assert judge_job(job(spec={"suspend": True})) == Done(0)


@pytest.mark.parametrize(
    ("running", "failures", "progress"),
    [
        (pod(RUNNING, owner="job"), 0, "not completed yet"),
        (pod(ended(1), owner="job"), 1, "not completed yet, failed 1 time so far"),
        (pod(waiting("CrashLoopBackOff"), owner="job", last=ended(1), restarts=4), 4, "failed 4 times"),
    ],
    ids=["running", "tried again", "restarted"],
)
def test_a_job_tries_again_itself(running: Json, failures: int, progress: str) -> None:
    state = judge_job(job(running, failed=failures))
    assert isinstance(state, Progressing)
    assert progress in state.waiting


@pytest.mark.parametrize(("ours", "fault"), [(True, "image"), (False, "configuration")])
def test_a_job_that_failed_fails_the_release(ours: bool, fault: Fault) -> None:
    gone = pod(ended(3), owner="job", phase="Failed")
    verdict = judge_job(job(gone, condition=FAILED, released=ours))
    assert verdict == Failed(
        "it failed: Job has reached the specified backoff limit", "job-pod", fault, container="app"
    )


def test_a_job_that_was_ended_at_its_deadline_blames_the_manifests() -> None:
    late = FAILED | {"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}
    verdict = judge_job(job(condition=late))
    assert isinstance(verdict, Failed)
    assert verdict.fault == "configuration"


def test_a_job_whose_image_is_missing_is_not_waited_for() -> None:
    missing = pod(waiting("ErrImagePull", "not found"), owner="job", image="tool:1")
    verdict = judge_job(job(missing, released=False))
    assert isinstance(verdict, Failed)
    assert (verdict.cause, verdict.fault) == ("the registry has no image tool:1", "configuration")


def test_deployments_and_jobs_are_waited_for_and_what_runs_later_is_not() -> None:
    kinds = ["Deployment", "Job", "CronJob", "ConfigMap", "HorizontalPodAutoscaler"]
    assert [kind for kind in kinds if is_watched({"kind": kind})] == ["Deployment", "Job"]
    assert title(job()) == "Job migrate"
