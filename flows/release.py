"""Release: an image from the registry becomes what an environment's users reach, or nothing has changed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.config.load import EVERY
from flows.core.build.content import SAME, what_changed
from flows.core.errors import (
    LockedByAnother,
    ReleaseRefused,
    ReleaseUndone,
    SlipwayError,
    SourceUnavailable,
    combined,
)
from flows.core.release import record as records
from flows.core.release.approval_summary import describe
from flows.core.release.decision import (
    Candidate,
    Decision,
    EnvironmentSnapshot,
    Refuse,
    Release,
    Request,
    SkipRelease,
    decide,
)
from flows.core.release.record import Record
from flows.core.trigger.run_labels import commit_tag, environment_tag, model_tag, release_name, to_tag
from flows.procedures.deploy import deploy, environment_lock, one_lease_period
from flows.procedures.nightly import is_nightly, once_a_night
from flows.procedures.reconcile import reconcile
from flows.runtime import approval, artifacts, tasks
from flows.runtime.flow_context import asked_by, run_context, was_scheduled
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show
from flows.stages.context import RunContext
from flows.stages.release import EnvironmentLock
from flows.stages.resolve_image import Plan

Facts = dict[str, object]


@dataclass(frozen=True)
class EnvironmentOutcome:
    """How one environment's part of a run ended, where it did not fail."""

    name: Literal["Completed", "Skipped", "Refused", "ApprovalTimedOut"]
    message: str


@flow(name="release", flow_run_name="{environment} ← {image}")
@returns_failed_state
def release(
    environment: str = EVERY, image: str = "latest", reason: str = "", by: str = "", force: bool = False
) -> State[None]:
    """Roll an image out to an environment, prove it from outside, and undo it if it is not good.

    Args:
        environment: one of those in slipway.toml; or `every`: the first takes `image`, each further one the
            newest that is good where it promotes from.
        image: `latest`, a tag, a capsule's hash, or a digest (sha256:...).
        reason: why, for whoever reads it later.
        by: who asks, as Prefect does not know.
        force: release whatever speaks against it; needs a reason.
    """
    with run_context("release") as (run, facts):
        request = Request(environment, image, reason, asked_by(by), requested_by_person(environment), force)
        if environment != EVERY:
            run.settings.environment(environment)  # an unknown one is told before anything is asked
        if is_nightly():
            return once_a_night(
                run, lambda: _release(run, facts, request), lambda: _recover_everywhere(run, facts)
            )
        return _release(run, facts, request)


def _release(run: RunContext, facts: Facts, request: Request) -> State[None]:
    if request.environment == EVERY:
        return _state(release_to_each(run, facts, request))
    return _state([release_to(run, facts, request)])


def requested_by_person(environment: str) -> bool:
    """Whether a person wants just this environment released: neither the clock nor its way through all."""
    return environment != EVERY and not was_scheduled()


def release_to_each(run: RunContext, facts: Facts, request: Request) -> list[EnvironmentOutcome]:
    """One environment after the other; one that fails keeps none behind it from what is good already."""
    outcomes: list[EnvironmentOutcome] = []
    failures: list[SlipwayError] = []
    for name, wanted in run.settings.environments.items():
        image = request.image if wanted.promotes_from is None else None
        try:
            outcomes.append(release_to(run, facts, replace(request, environment=name, image=image)))
        except SlipwayError as failure:
            run.say(f"{name} failed: {failure}")
            failures.append(failure)
    if failures:
        raise combined(failures)
    return outcomes


def release_to(run: RunContext, facts: Facts, request: Request) -> EnvironmentOutcome:
    """One environment: decide, ask, lock, decide again, and put it in force."""
    environment = request.environment
    show(run, None, environment_tag(environment))
    try:
        plan, situation = _planned(run, facts, request)
        decision = (
            _decide(run, plan, situation) if plan else SkipRelease(_nothing_promotable(run, environment))
        )
        if plan and not isinstance(decision, SkipRelease):
            tasks.check_endpoint(run, environment)
    except SlipwayError:
        try:
            _recover_what_is_left(run, facts, environment)
        except SlipwayError as second:  # the first one is what the run ends with
            run.say(f"Whether anything was left in the middle in {environment} can't be told: {second}")
        raise
    if plan is None or isinstance(decision, SkipRelease):
        _recover_what_is_left(run, facts, environment)
        return _skipped(run, facts, environment, decision.reason)
    if (ended := _approve(run, facts, plan, records.live(situation.history))) is not None:
        return ended
    try:
        with environment_lock(run, environment, run.settings.environment(environment).lock_wait) as lock:
            return _release_under_lock(run, facts, lock, plan)
    except LockedByAnother as other:
        return _skipped(run, facts, environment, str(other))


def _planned(run: RunContext, facts: Facts, request: Request) -> tuple[Plan | None, EnvironmentSnapshot]:
    """What would be released, None while there is nothing to promote; and how things are."""
    environment = request.environment
    candidate = tasks.resolve_image(run, request)
    situation = tasks.observe(run, environment)
    if candidate is None:
        return None, situation
    changed = what_changed(records.live(situation.history), candidate)
    facts |= _described(request, candidate) | {f"{environment}: changed": changed}
    _name_run(run, facts, environment, candidate)
    return tasks.render_manifests(run, request, candidate), situation


def _nothing_promotable(run: RunContext, environment: str) -> str:
    return f"nothing is good in {run.settings.environment(environment).promotes_from} yet, for long enough"


def _release_under_lock(
    run: RunContext, facts: Facts, lock: EnvironmentLock, plan: Plan
) -> EnvironmentOutcome:
    environment = lock.environment
    _mend(run, facts, lock, lambda record: record.image.digest == plan.candidate.image.digest)
    situation = tasks.observe(run, environment)
    decision = _decide(run, plan, situation)
    if isinstance(decision, SkipRelease):
        return _skipped(run, facts, environment, decision.reason)
    tasks.check_endpoint(run, environment)  # once more: an approval, or the lock, may have taken hours
    tasks.check_manifests(run, lock, plan)
    outgoing = tasks.measure_outgoing(run, environment, records.live(situation.history))
    record = tasks.record_release(run, lock, plan, situation)
    facts[f"{environment}: release"] = record.number
    proof = deploy(run, lock, record, decision.reason, outgoing)
    changed = what_changed(records.live(situation.history), plan.candidate)
    why = plan.request.reason if changed != SAME and plan.request.reason else decision.reason
    facts |= {
        f"{environment}: changed": changed,
        f"{environment}: decision": f"released: {decision.reason}",
        f"{environment}: proof": proof,
    }
    return EnvironmentOutcome("Completed", f"{environment} runs {plan.candidate} ({changed}): {why}.")


def _mend(run: RunContext, facts: Facts, lock: EnvironmentLock, is_wanted: Callable[[Record], bool]) -> None:
    """Finish or undo what is left in the middle; that it ended badly keeps this run from nothing."""
    try:
        outcome = reconcile(run, lock, is_wanted)
    except ReleaseUndone as failure:
        outcome = str(failure)
    if outcome is not None:
        facts[f"{lock.environment}: left in the middle"] = outcome


def _recover_what_is_left(run: RunContext, facts: Facts, environment: str) -> None:
    """Finish or undo a release whose run is gone; one that is still at work is left alone."""
    if tasks.find_pending(run, environment) is None:
        return
    try:
        with environment_lock(run, environment, one_lease_period(run)) as lock:
            _mend(run, facts, lock, lambda _: True)
    except LockedByAnother as other:
        facts[f"{environment}: under way"] = other


def _recover_everywhere(run: RunContext, facts: Facts) -> None:
    for environment in run.settings.environments:
        _recover_what_is_left(run, facts, environment)


def _decide(run: RunContext, plan: Plan, situation: EnvironmentSnapshot) -> Release | SkipRelease:
    now = datetime.now(run.settings.nights.zone)
    decision: Decision = decide(plan.request, plan.candidate, plan.manifests.hash, situation, now)
    run.say(f"{plan.environment}: {type(decision).__name__}: {decision.reason}.")
    if isinstance(decision, Refuse):
        raise ReleaseRefused(f"{plan.environment}: {decision.reason}.", "Nothing was changed.")
    return decision


def _approve(run: RunContext, facts: Facts, plan: Plan, live: Record | None) -> EnvironmentOutcome | None:
    """None where the release may go on."""
    request, candidate = plan.request, plan.candidate
    wanted = run.settings.environment(request.environment)
    if not wanted.approval:
        return None
    try:
        run.repository.fetch(run.say)
        commits = run.repository.between(live.commit, candidate.commit) if live else []
    except SourceUnavailable:
        commits = None
    change = describe(request, candidate, live, commits)
    run.say(f"{request.environment} asks for approval.")
    answer = approval.ask(request.environment, change, wanted.approval_timeout)
    facts[f"{request.environment}: approval"] = answer
    run.say(f"{request.environment}: {answer}.")
    if answer.approved:
        return None
    name: Literal["Refused", "ApprovalTimedOut"] = "ApprovalTimedOut" if answer.timed_out else "Refused"
    return EnvironmentOutcome(name, f"Not released to {request.environment}: {answer}.")


def _name_run(run: RunContext, facts: Facts, environment: str, candidate: Candidate) -> None:
    """For the list of runs: what goes where, as far as it is known by now."""
    wanted = {
        name: str(facts[key]) for name in run.settings.environments if (key := f"{name}: wanted") in facts
    }
    model = model_tag(candidate.model, candidate.model_version)
    there = to_tag(environment, str(candidate))
    show(run, release_name(wanted), commit_tag(candidate.commit), model, there)


def _described(request: Request, candidate: Candidate) -> Facts:
    name = request.environment
    return {
        f"{name}: wanted": candidate,
        f"{name}: found as": request.image or "what it promotes",
        f"{name}: image": candidate.image,
        f"{name}: capsule": candidate.capsule,
        f"{name}: asked by": request.asked_by + (f", because: {request.reason}" if request.reason else ""),
    }


def _skipped(run: RunContext, facts: Facts, environment: str, reason: str) -> EnvironmentOutcome:
    artifacts.update_history_page(run, environment)  # its run may have been killed before it had done so
    facts[f"{environment}: decision"] = f"skipped: {reason}"
    return EnvironmentOutcome("Skipped", f"Nothing to release to {environment}: {reason}.")


def _state(outcomes: list[EnvironmentOutcome]) -> State[None]:
    """Named for what a person has to know first: that it wasn't approved, else that there was a release."""
    names = [outcome.name for outcome in outcomes]
    order = ("Refused", "ApprovalTimedOut", "Completed", "Skipped")
    message = " ".join(outcome.message for outcome in outcomes)
    return Completed(name=min(names, key=order.index), message=message)
