"""The one table of tasks: how often each stage is tried, and how long it may take.

A task has the name of its stage: `seal_capsule` is "seal capsule" in Prefect, in the log and in the report.
A stage that undoes a release has "undo: " before its name.

A stage of single requests is tried again after a `TransientError`, and after nothing else. A stage that polls
waits itself for a system that does not answer, and has one try: a second one would begin with a new deadline,
and the two waiting times would multiply.

The time-outs here are the outer limit: subprocesses and clients have their own, shorter ones. Two kinds of
stages have only those: one that runs in a thread beside another, because Prefect can't interrupt it there;
and one whose length is a setting, or follows from the replicas and their answer times, because a fixed
time-out would be too short for some. Such a stage ends with a `SlipwayError`.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from flows.core.errors import TransientError
from flows.stages import (
    ci,
    duel,
    halves,
    housekeeping,
    opponents,
    publish_evaluation,
    publish_model,
    release,
    test_cache,
    undo,
)
from flows.stages import resolve_image as image
from flows.stages.context import RunContext, stage_name

P = ParamSpec("P")
R = TypeVar("R")

MINUTE = 60
DELAYS = (2.0, 5.0, 15.0)
"""Seconds before each further try: a restarted registry or API server is back by the second of them."""


LONGEST_PAUSE = 60.0
"""Seconds that a throttled system is left alone at most, beside the delay."""


def may_pass(_task: object, _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether to try again; Prefect calls it as a `retry_condition_fn`.

    If the system asked for a pause (Retry-After), this returns after it: Prefect's own delays are fixed. The
    stage's time-out does not count meanwhile.
    """
    if not isinstance(state.data, TransientError):
        return False
    time.sleep(min(state.data.retry_after, LONGEST_PAUSE))
    return True


def _task(
    stage: Callable[Concatenate[RunContext, P], R],
    *,
    prefix: str = "",
    tries: int = 1,
    timeout: float | None = None,
) -> Task[Concatenate[RunContext, P], R]:
    name = prefix + stage_name(stage)

    @wraps(stage)
    def timed(run: RunContext, *args: P.args, **kwargs: P.kwargs) -> R:
        with run.stage(name):
            return stage(run, *args, **kwargs)

    return Task(
        timed,
        name=name,
        retries=tries - 1,
        retry_delay_seconds=list(DELAYS[: tries - 1]),
        retry_condition_fn=may_pass,
        timeout_seconds=timeout,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


UNDO = "undo: "

# fmt: off
resolve_commit       = _task(ci.resolve_commit, tries=4)
resolve_model        = _task(ci.resolve_model, tries=3)
pin_model            = _task(ci.pin_model, tries=3, timeout=2 * MINUTE)
seal_capsule         = _task(ci.seal_capsule, tries=3, timeout=2 * MINUTE)
find_image           = _task(ci.find_image, tries=3, timeout=2 * MINUTE)
compare_with_latest  = _task(ci.compare_with_latest, tries=3, timeout=2 * MINUTE)
look_up_tests        = _task(test_cache.look_up_tests, timeout=2 * MINUTE)
run_tests            = _task(ci.run_tests, tries=2)
keep_tests           = _task(test_cache.keep_tests, timeout=2 * MINUTE)
forget_tests         = _task(test_cache.forget_tests, timeout=2 * MINUTE)
fetch_model          = _task(ci.fetch_model, tries=4)
build_image          = _task(ci.build_image, tries=2, timeout=35 * MINUTE)
smoke_test           = _task(ci.smoke_test)
push_image           = _task(ci.push_image, tries=4)
find_code_half       = _task(halves.find_code_half, tries=3, timeout=2 * MINUTE)
find_model_half      = _task(halves.find_model_half, tries=3, timeout=2 * MINUTE)
build_code_half      = _task(halves.build_code_half, tries=2, timeout=35 * MINUTE)
push_code_half       = _task(halves.push_code_half, tries=4)
push_model_half      = _task(halves.push_model_half, tries=4)
compose_image        = _task(halves.compose_image, tries=4, timeout=5 * MINUTE)
pull_image           = _task(halves.pull_image, tries=4)
tag_image            = _task(halves.tag_image, tries=4, timeout=2 * MINUTE)
find_opponents       = _task(opponents.find_opponents, tries=4, timeout=5 * MINUTE)
hold_duel            = _task(duel.hold_duel, tries=2)
keep_duel_report     = _task(duel.keep_duel_report, tries=3, timeout=2 * MINUTE)
decide_latest        = _task(ci.decide_latest, tries=4, timeout=5 * MINUTE)
move_latest          = _task(ci.move_latest, tries=4, timeout=5 * MINUTE)

resolve_image        = _task(image.resolve_image, tries=4, timeout=10 * MINUTE)
resolve_manifests    = _task(image.resolve_manifests, tries=4, timeout=10 * MINUTE)
render_manifests     = _task(image.render_manifests, timeout=2 * MINUTE)
observe              = _task(release.observe, tries=4, timeout=5 * MINUTE)
check_fence          = _task(release.check_fence, tries=4, timeout=2 * MINUTE)
claim_objects        = _task(release.claim_objects, tries=4, timeout=2 * MINUTE)
hold                 = _task(release.hold, tries=4, timeout=2 * MINUTE)
lift_hold            = _task(release.lift_hold, tries=4, timeout=2 * MINUTE)
check_endpoint       = _task(release.check_endpoint, tries=4, timeout=2 * MINUTE)
verify_endpoint      = _task(release.verify_endpoint, tries=4, timeout=2 * MINUTE)
measure_outgoing     = _task(release.measure_outgoing, tries=4, timeout=2 * MINUTE)
find_examples        = _task(release.find_examples, tries=4, timeout=2 * MINUTE)
check_manifests      = _task(release.check_manifests, tries=4, timeout=2 * MINUTE)
find_before          = _task(release.find_before, tries=4, timeout=2 * MINUTE)
record_release       = _task(release.record_release, tries=4, timeout=2 * MINUTE)
write_record         = _task(release.write_record, tries=4, timeout=2 * MINUTE)
count_outgoing       = _task(release.count_outgoing, timeout=2 * MINUTE)
apply_manifests      = _task(release.apply_manifests, tries=4, timeout=5 * MINUTE)
watch_rollout        = _task(release.watch_rollout)
await_endpoint       = _task(release.await_endpoint)
verify_replicas      = _task(release.verify_replicas)
soak                 = _task(release.soak)
mark_deployed        = _task(release.mark_deployed, tries=4, timeout=2 * MINUTE)

find_pending         = _task(release.find_pending, tries=4, timeout=2 * MINUTE)
close_leftovers      = _task(release.close_leftovers, tries=4, timeout=2 * MINUTE)
is_rollout_complete  = _task(undo.is_rollout_complete, tries=4, timeout=2 * MINUTE)
find_deployed        = _task(undo.find_deployed, tries=4, timeout=2 * MINUTE)
undo_write_record    = _task(release.write_record, prefix=UNDO, tries=4, timeout=2 * MINUTE)
undo_restore         = _task(undo.restore, prefix=UNDO, tries=4, timeout=5 * MINUTE)
undo_watch_rollout   = _task(release.watch_rollout, prefix=UNDO)
watch_removal        = _task(undo.watch_removal)
undo_await_endpoint  = _task(release.await_endpoint, prefix=UNDO)
undo_verify_replicas = _task(release.verify_replicas, prefix=UNDO)
mark_undone          = _task(undo.mark_undone, tries=4, timeout=2 * MINUTE)
require_whole        = _task(release.require_whole)
mark_degraded        = _task(release.mark_degraded, tries=4, timeout=2 * MINUTE)

describe_model       = _task(publish_model.describe_model, timeout=10 * MINUTE)
validate_model       = _task(publish_model.validate_model, timeout=10 * MINUTE)
upload_model         = _task(publish_model.upload_model, tries=4, timeout=60 * MINUTE)

pack_golden_set      = _task(publish_evaluation.pack_golden_set, timeout=10 * MINUTE)
check_labels         = _task(publish_evaluation.check_labels, tries=4, timeout=2 * MINUTE)
upload_golden_set    = _task(publish_evaluation.upload_golden_set, tries=4, timeout=60 * MINUTE)

forget_runs          = _task(housekeeping.forget_runs, tries=2, timeout=60 * MINUTE)
sweep_machine        = _task(housekeeping.sweep_machine, timeout=30 * MINUTE)
sweep_test_cache     = _task(housekeeping.sweep_test_cache, tries=2, timeout=30 * MINUTE)
sweep_duel_reports   = _task(housekeeping.sweep_duel_reports, tries=2, timeout=30 * MINUTE)
remove_abandoned_containers = _task(housekeeping.remove_abandoned_containers, tries=2, timeout=2 * MINUTE)
sweep_engine         = _task(housekeeping.sweep_engine, tries=2, timeout=30 * MINUTE)
take_stock           = _task(housekeeping.take_stock, tries=2, timeout=60 * MINUTE)
sweep_registry       = _task(housekeeping.sweep_registry, tries=2, timeout=4 * MINUTE)
sweep_untagged       = _task(housekeeping.sweep_untagged, tries=2, timeout=4 * MINUTE)
# fmt: on
