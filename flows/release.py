"""Release: an image from the registry goes live in an environment, or the environment stays unchanged."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.config.load import EVERY
from flows.core.build.content import SAME, what_changed
from flows.core.errors import LockedByAnother, ReleaseRefused, SlipwayError, raise_all
from flows.core.markdown import Markdown, linked
from flows.core.release import record as records
from flows.core.release.decision import (
    Candidate,
    EnvironmentSnapshot,
    Refuse,
    Release,
    Request,
    SkipRelease,
    decide,
)
from flows.core.release.endpoint import is_whole
from flows.core.release.report import EnvironmentOutcome, ReleaseReport, most_urgent
from flows.core.trigger.run_labels import commit_tag, environment_tag, model_tag, release_name, to_tag
from flows.procedures.deploy import deploy, environment_lock
from flows.procedures.nightly import is_nightly, once_a_night
from flows.procedures.pair import composed_pair
from flows.procedures.reconcile import reconcile_pending, recover_abandoned
from flows.runtime import approval, artifacts, tasks
from flows.runtime.flow_context import asked_by, run_context, was_scheduled
from flows.runtime.flow_errors import is_tried_again
from flows.runtime.run_labels import show
from flows.stages.context import RunContext
from flows.stages.resolve_image import Plan


@flow(name="release", flow_run_name="{environment} ← {image}")
@partial(is_tried_again, when=is_nightly)
def release(
    environment: str = EVERY,
    image: str = "latest",
    reason: str = "",
    by: str = "",
    *,
    force: bool = False,
    model: str = "",
    code: str = "",
) -> State[None]:
    """Roll out an image to an environment, verify it from outside, and undo it if that fails.

    Args:
        environment: one of those in slipway.toml; or `every`: the first takes `image`, each further one the
            newest that is good where it promotes from.
        image: `latest`, a tag, a capsule's hash, or a digest (sha256:...).
        reason: why; others will read it.
        by: who asks, as Prefect does not know.
        force: release it also where Slipway would skip it; needs a reason.
        model: a model's version, instead of an image: it is composed with the code that is live there.
        code: a commit, instead of an image: it is composed with the model that is live there.
    """
    report = ReleaseReport()
    with run_context("release", report) as run:
        request = Request(environment, image, reason, asked_by(by), requested_by_person(environment), force)
        if environment != EVERY:
            run.settings.environment(environment)  # an unknown one is refused before any system is asked
        if model or code:
            return release_half(run, report, request, code, model)
        if is_nightly():
            return once_a_night(
                run, lambda: release_requested(run, report, request), lambda: recover_everywhere(run, report)
            )
        return release_requested(run, report, request)


def release_half(
    run: RunContext, report: ReleaseReport, request: Request, code: str, model: str
) -> State[None]:
    """Have a run of ci compose the pair, then release its image; the message names both runs."""
    if request.environment == EVERY:
        raise ReleaseRefused("One half can be released to one environment only.", "Name the environment.")
    composed, built_by = composed_pair(run, request, code, model)
    part = report.of(request.environment)
    part.composed_by = Markdown(linked(f"run {built_by}", artifacts.link(built_by)))
    state = release_requested(run, report, composed)
    message = f"{state.message} Run {built_by} composed the image; this one is {run.id}."
    return Completed(name=state.name, message=message)


def requested_by_person(environment: str) -> bool:
    """Whether a person asks for just this environment: not a schedule, and not a run through all of them."""
    return environment != EVERY and not was_scheduled()


def release_requested(run: RunContext, report: ReleaseReport, request: Request) -> State[None]:
    """Release to the requested environments; the state in which the run ends."""
    if request.environment == EVERY:
        outcomes = release_every_environment(run, report, request)
    else:
        outcomes = [release_environment(run, report, request)]
    message = " ".join(outcome.message for outcome in outcomes)
    return Completed(name=most_urgent(outcomes), message=message)


def release_every_environment(
    run: RunContext, report: ReleaseReport, request: Request
) -> list[EnvironmentOutcome]:
    """Release to one environment after the other; one that fails does not stop the others."""
    outcomes: list[EnvironmentOutcome] = []
    failures: list[SlipwayError] = []
    for name, wanted in run.settings.environments.items():
        image = request.image if wanted.promotes_from is None else None
        try:
            outcomes.append(release_environment(run, report, replace(request, environment=name, image=image)))
        except SlipwayError as failure:
            run.say(f"{name} failed: {failure}")
            failures.append(failure)
    raise_all(failures)
    return outcomes


def release_environment(run: RunContext, report: ReleaseReport, request: Request) -> EnvironmentOutcome:
    """Finish or undo what a killed run left; decide, ask for approval, lock, decide again, and deploy."""
    environment, part = request.environment, report.of(request.environment)
    show(run, None, environment_tag(environment))
    reconcile_pending(run, part, environment)
    candidate = tasks.resolve_image(run, request)
    if candidate is None:
        return skipped(run, report, environment, nothing_promotable(run, environment))
    name_run(run, report, request, candidate)
    candidate = tasks.resolve_manifests(run, request, candidate)
    plan = tasks.render_manifests(run, request, candidate)
    snapshot = tasks.observe(run, environment)
    part.changed = changed(snapshot, candidate)
    decision = decided(run, plan, snapshot)
    if isinstance(decision, SkipRelease):
        return skipped(run, report, environment, decision.reason, snapshot)
    tasks.check_endpoint(run, environment, snapshot.live)
    if (refusal := ask_for_approval(run, report, plan, snapshot)) is not None:
        return refusal
    try:
        with environment_lock(run, environment, run.settings.environment(environment).lock_wait) as lock:
            recover_abandoned(run, part, lock, candidate.image)  # the lock's last holder may have been killed
            snapshot = tasks.observe(run, environment)
            decision = decided(run, plan, snapshot)  # the answer may have changed
            if isinstance(decision, SkipRelease):
                return skipped(run, report, environment, decision.reason, snapshot)
            tasks.check_endpoint(run, environment, snapshot.live)  # an approval may have taken hours
            tasks.check_manifests(run, lock, plan)
            outgoing = tasks.measure_outgoing(run, environment, snapshot)
            record = tasks.record_release(run, lock, plan, snapshot)
            part.number = record.number
            part.changed = changed(snapshot, candidate)
            served = is_whole(snapshot.live)
            part.proof = deploy(run, lock, record, decision.reason, outgoing, was_served=served)
            return deployed(report, request, decision)
    except LockedByAnother as other:
        return skipped(run, report, environment, str(other))


def decided(run: RunContext, plan: Plan, snapshot: EnvironmentSnapshot) -> Release | SkipRelease:
    """Whether the release is due, and why; `ReleaseRefused` where it can't be done as requested."""
    now = datetime.now(run.settings.nights.zone)
    decision = decide(plan.request, plan.candidate, plan.manifests.hash, snapshot, now)
    run.say(f"{plan.environment}: {type(decision).__name__}: {decision.reason}.")
    if isinstance(decision, Refuse):
        raise ReleaseRefused(f"{plan.environment}: {decision.reason}. Nothing was changed.")
    return decision


def ask_for_approval(
    run: RunContext, report: ReleaseReport, plan: Plan, snapshot: EnvironmentSnapshot
) -> EnvironmentOutcome | None:
    """Ask a person, if the environment requires it. The outcome if they refuse or do not answer in time; None
    if the release may go on."""
    answer = approval.ask_if_required(run, plan, records.live(snapshot.history))
    if answer is None:
        return None
    report.of(plan.environment).approval = str(answer)
    if answer.approved:
        return None
    message = f"Not released to {plan.environment}: {answer}."
    return EnvironmentOutcome("ApprovalTimedOut" if answer.timed_out else "Refused", message)


def skipped(
    run: RunContext,
    report: ReleaseReport,
    environment: str,
    reason: str,
    snapshot: EnvironmentSnapshot | None = None,
) -> EnvironmentOutcome:
    """The outcome where nothing is released, for that reason."""
    known = snapshot.history if snapshot else None
    artifacts.update_history_page(run, environment, known)  # a killed run may not have written it
    report.of(environment).decision = f"skipped: {reason}"
    return EnvironmentOutcome("Skipped", f"Nothing to release to {environment}: {reason}.")


def deployed(report: ReleaseReport, request: Request, decision: Release) -> EnvironmentOutcome:
    """The outcome where the candidate is live now."""
    part = report.of(request.environment)
    part.decision = f"released: {decision.reason}"
    why = request.reason if part.changed != SAME and request.reason else decision.reason
    return EnvironmentOutcome(
        "Completed", f"{request.environment} runs {part.candidate} ({part.changed}): {why}."
    )


def changed(snapshot: EnvironmentSnapshot, candidate: Candidate) -> str:
    """How the candidate differs from what is deployed."""
    before = records.live(snapshot.history)
    return what_changed(before.content if before else None, candidate.content)


def nothing_promotable(run: RunContext, environment: str) -> str:
    """Why there is no candidate."""
    return f"nothing is good in {run.settings.environment(environment).promotes_from} yet, for long enough"


def name_run(run: RunContext, report: ReleaseReport, request: Request, candidate: Candidate) -> None:
    """Name and tag the run, and report what goes to the environment, as far as it is known by now."""
    part = report.of(request.environment)
    part.candidate = candidate
    part.requested_as = request.image or "what it promotes"
    part.asked_by = request.asked_by + (f", because: {request.reason}" if request.reason else "")
    content = candidate.content
    model = model_tag(content.model.name, content.model.version)
    there = to_tag(request.environment, str(candidate))
    show(run, release_name(report.contents), commit_tag(content.commit), model, there)


def recover_everywhere(run: RunContext, report: ReleaseReport) -> None:
    """Finish or undo what a killed run left in any environment."""
    for environment in run.settings.environments:
        reconcile_pending(run, report.of(environment), environment)
