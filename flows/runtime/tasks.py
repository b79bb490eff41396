"""The one table of tasks: what each stage is called, how often it is tried, and how long it may take.

A stage of single requests is tried again after a `TransientError`, and after nothing else. A stage that
polls waits itself for a system that does not answer, and has one try: a second one would begin with a fresh
deadline, and the two kinds of patience would multiply.

The time-outs are the outer limit: subprocesses and clients carry their own, shorter ones. A stage in a thread
beside another has those alone: Prefect can't interrupt it there.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from flows.core.errors import TransientError
from flows.stages import ci, housekeeping, publish_model, release, resolve_image, test_cache, undo
from flows.stages.context import RunContext

P = ParamSpec("P")
R = TypeVar("R")

MINUTE = 60
DELAYS = (2.0, 5.0, 15.0)
"""Seconds before each further try: a registry or API server that was restarted is back by the second."""


def may_pass(_task: object, _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether another try makes sense; Prefect calls it as a `retry_condition_fn`."""
    return isinstance(state.data, TransientError)


def _task(
    stage: Callable[Concatenate[RunContext, P], R], name: str, *, tries: int = 1, timeout: float | None = None
) -> Task[Concatenate[RunContext, P], R]:
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


# fmt: off
resolve_commit   = _task(ci.resolve_commit,         "resolve commit",    tries=4, timeout=10 * MINUTE)
resolve_model    = _task(ci.find_model,             "resolve model",     tries=3)
pin_model        = _task(ci.pin_model,              "pin model",         tries=3, timeout=2 * MINUTE)
seal_capsule     = _task(ci.seal_capsule,           "seal capsule",      tries=3, timeout=2 * MINUTE)
find_image       = _task(ci.find_image,             "find image",        tries=3, timeout=2 * MINUTE)
compare_with_latest = _task(ci.compare_with_latest, "compare with latest", tries=3, timeout=2 * MINUTE)
look_up_tests    = _task(test_cache.look_up_tests,     "look up tests",              timeout=2 * MINUTE)
run_tests        = _task(ci.run_tests,              "run tests",         tries=2, timeout=60 * MINUTE)
keep_tests       = _task(test_cache.keep_tests,        "keep tests",                 timeout=2 * MINUTE)
forget_tests     = _task(test_cache.forget_tests,      "forget tests",               timeout=2 * MINUTE)
fetch_model      = _task(ci.fetch_model,            "fetch model",       tries=4)
build_image      = _task(ci.build_image,            "build image",       tries=2, timeout=35 * MINUTE)
smoke_test          = _task(ci.smoke_test,                "try out",                    timeout=10 * MINUTE)
push_image       = _task(ci.push_image,             "push image",        tries=4, timeout=35 * MINUTE)
decide_latest    = _task(ci.decide_latest,          "decide about latest", tries=4, timeout=5 * MINUTE)
move_latest      = _task(ci.move_latest,            "move latest",       tries=4, timeout=5 * MINUTE)

find_candidate   = _task(resolve_image.find_candidate,   "find image",      tries=3, timeout=2 * MINUTE)
find_promotable  = _task(resolve_image.find_promotable,  "find image to promote", tries=4, timeout=2 * MINUTE)
render_manifests = _task(resolve_image.render_manifests, "render manifests",         timeout=2 * MINUTE)
observe          = _task(release.observe,           "observe",           tries=4, timeout=5 * MINUTE)
check_fence      = _task(release.check_fence,       "check fence",       tries=4, timeout=2 * MINUTE)
stamp            = _task(release.stamp,             "take over",         tries=4, timeout=2 * MINUTE)
hold             = _task(release.hold,              "hold",              tries=4, timeout=2 * MINUTE)
lift_hold        = _task(release.lift_hold,         "lift hold",         tries=4, timeout=2 * MINUTE)
write_record     = _task(release.write,             "record release",    tries=4, timeout=2 * MINUTE)
check_edge       = _task(release.check_edge,        "check edge",        tries=4, timeout=2 * MINUTE)
measure_outgoing = _task(release.measure_outgoing,  "measure outgoing",           timeout=2 * MINUTE)
find_examples    = _task(release.find_examples,     "find examples",     tries=4, timeout=2 * MINUTE)
record_release   = _task(release.record_release,    "record release",    tries=4, timeout=2 * MINUTE)
check_manifests  = _task(release.check_manifests,   "check manifests",   tries=4, timeout=2 * MINUTE)
apply_manifests  = _task(release.apply_manifests,   "apply manifests",   tries=4, timeout=5 * MINUTE)
watch_rollout    = _task(release.watch_rollout,     "watch rollout",              timeout=60 * MINUTE)
prove            = _task(release.prove,             "prove from outside",          timeout=5 * MINUTE)
soak             = _task(release.soak_release,      "soak",                       timeout=60 * MINUTE)
close_good       = _task(release.close_good,        "close as good",     tries=4, timeout=2 * MINUTE)

find_pending     = _task(release.find_pending,      "find pending",      tries=4, timeout=2 * MINUTE)
close_leftovers  = _task(release.close_leftovers,   "close leftovers",   tries=4, timeout=2 * MINUTE)
is_healthy       = _task(undo.is_healthy,        "look at what is left", tries=4, timeout=2 * MINUTE)
last_good        = _task(undo.last_good,         "find last good",    tries=4, timeout=2 * MINUTE)
write_undoing    = _task(release.write,             "undo: record",      tries=4, timeout=2 * MINUTE)
put_back         = _task(undo.put_back,          "undo: put back",    tries=4, timeout=5 * MINUTE)
watch_undo       = _task(release.watch_rollout,     "undo: watch rollout",          timeout=60 * MINUTE)
watch_removal    = _task(undo.watch_removal,     "undo: watch removal",          timeout=60 * MINUTE)
prove_undone     = _task(release.prove,             "undo: prove from outside",          timeout=5 * MINUTE)
close_undone     = _task(undo.close_undone,      "undo: close",       tries=4, timeout=2 * MINUTE)
verify_live      = _task(release.verify,            "prove from outside",          timeout=5 * MINUTE)
doubt            = _task(release.doubt,             "record doubt",      tries=4, timeout=2 * MINUTE)

describe_model   = _task(publish_model.describe_model, "describe model",            timeout=10 * MINUTE)
validate_model   = _task(publish_model.validate_model, "validate model",             timeout=10 * MINUTE)
upload_model     = _task(publish_model.upload_model,   "upload model",      tries=4, timeout=60 * MINUTE)

forget_runs      = _task(housekeeping.forget_runs,  "forget runs",       tries=2, timeout=60 * MINUTE)
sweep_machine    = _task(housekeeping.sweep_machine, "sweep machine",             timeout=30 * MINUTE)
sweep_test_cache   = _task(housekeeping.sweep_passed_tests, "sweep memories", tries=2, timeout=30 * MINUTE)
sweep_engine     = _task(housekeeping.sweep_engine, "sweep engine",      tries=2, timeout=30 * MINUTE)
take_stock       = _task(housekeeping.take_stock,  "take stock",        tries=2, timeout=60 * MINUTE)
sweep_registry   = _task(housekeeping.sweep_registry, "sweep registry",  tries=2, timeout=4 * MINUTE)
# fmt: on
