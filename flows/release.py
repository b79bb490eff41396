"""Release: an image from the registry becomes what an environment's users reach, or nothing has changed."""

from dataclasses import replace
from datetime import datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.config.load import EVERY
from flows.core.build.content import SAME, what_changed
from flows.core.errors import LockedByAnother, ReleaseRefused, SlipwayError, raise_all
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
from flows.core.release.report import EnvironmentOutcome, ReleaseReport, most_urgent
from flows.core.trigger.run_labels import commit_tag, environment_tag, model_tag, release_name, to_tag
from flows.procedures.deploy import deploy, environment_lock
from flows.procedures.nightly import is_nightly, once_a_night
from flows.procedures.reconcile import reconcile_pending, recover_abandoned
from flows.runtime import approval, artifacts, tasks
from flows.runtime.flow_context import asked_by, run_context, was_scheduled
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show
from flows.stages.context import RunContext
from flows.stages.resolve_image import Plan


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
        reason: why; others will read it.
        by: who asks, as Prefect does not know.
        force: release whatever speaks against it; needs a reason.
    """
    report = ReleaseReport()
    with run_context("release", report) as run:
        request = Request(environment, image, reason, asked_by(by), requested_by_person(environment), force)
        if environment != EVERY:
            run.settings.environment(environment)  # an unknown one is refused before any system is asked
        if is_nightly():
            return once_a_night(
                run, lambda: released(run, report, request), lambda: recover_everywhere(run, report)
            )
        return released(run, report, request)


def requested_by_person(environment: str) -> bool:
    """Whether a person wants just this environment released: neither the clock nor its way through all."""
    return environment != EVERY and not was_scheduled()


def released(run: RunContext, report: ReleaseReport, request: Request) -> State[None]:
    """The state that the run ends in, once the requested environments are released."""
    if request.environment == EVERY:
        outcomes = release_every_environment(run, report, request)
    else:
        outcomes = [release_environment(run, report, request)]
    message = " ".join(outcome.message for outcome in outcomes)
    return Completed(name=most_urgent(outcomes), message=message)


def release_every_environment(
    run: RunContext, report: ReleaseReport, request: Request
) -> list[EnvironmentOutcome]:
    """One environment after the other; one that fails does not stop the others."""
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
    """Finish or undo what a killed run left; then decide, ask, lock, decide again, and deploy."""
    environment, part = request.environment, report.of(request.environment)
    show(run, None, environment_tag(environment))
    reconcile_pending(run, part, environment)
    candidate = tasks.resolve_image(run, request)
    if candidate is None:
        return skipped(run, report, environment, nothing_promotable(run, environment))
    name_run(run, report, request, candidate)
    plan = tasks.render_manifests(run, request, candidate)
    snapshot = tasks.observe(run, environment)
    part.changed = changed(snapshot, candidate)
    decision = decided(run, plan, snapshot)
    if isinstance(decision, SkipRelease):
        return skipped(run, report, environment, decision.reason)
    tasks.check_endpoint(run, environment)
    if (refusal := refused(run, report, plan, snapshot)) is not None:
        return refusal
    try:
        with environment_lock(run, environment, run.settings.environment(environment).lock_wait) as lock:
            recover_abandoned(run, part, lock, candidate.image)  # its holder may have been killed meanwhile
            snapshot = tasks.observe(run, environment)
            decision = decided(run, plan, snapshot)  # the answer may have changed
            if isinstance(decision, SkipRelease):
                return skipped(run, report, environment, decision.reason)
            tasks.check_endpoint(run, environment)  # an approval, or the lock, may have taken hours
            tasks.check_manifests(run, lock, plan)
            outgoing = tasks.measure_outgoing(run, environment, records.live(snapshot.history))
            record = tasks.record_release(run, lock, plan, snapshot)
            part.number = record.number
            part.changed = changed(snapshot, candidate)
            part.proof = deploy(run, lock, record, decision.reason, outgoing)
            return deployed(report, request, decision)
    except LockedByAnother as other:
        return skipped(run, report, environment, str(other))


def decided(run: RunContext, plan: Plan, snapshot: EnvironmentSnapshot) -> Release | SkipRelease:
    """Whether the release is due, and why; `ReleaseRefused` where it can't be done as it was asked."""
    now = datetime.now(run.settings.nights.zone)
    decision = decide(plan.request, plan.candidate, plan.manifests.hash, snapshot, now)
    run.say(f"{plan.environment}: {type(decision).__name__}: {decision.reason}.")
    if isinstance(decision, Refuse):
        raise ReleaseRefused(f"{plan.environment}: {decision.reason}.", "Nothing was changed.")
    return decision


def refused(
    run: RunContext, report: ReleaseReport, plan: Plan, snapshot: EnvironmentSnapshot
) -> EnvironmentOutcome | None:
    """How it ends where a person has to approve and does not; None where the release may go on."""
    answer = approval.ask_if_required(run, plan, records.live(snapshot.history))
    if answer is None:
        return None
    report.of(plan.environment).approval = str(answer)
    if answer.approved:
        return None
    message = f"Not released to {plan.environment}: {answer}."
    return EnvironmentOutcome("ApprovalTimedOut" if answer.timed_out else "Refused", message)


def skipped(run: RunContext, report: ReleaseReport, environment: str, reason: str) -> EnvironmentOutcome:
    """How it ends where nothing is released, for that reason."""
    artifacts.update_history_page(run, environment)  # its run may have been killed before it had done so
    report.of(environment).decision = f"skipped: {reason}"
    return EnvironmentOutcome("Skipped", f"Nothing to release to {environment}: {reason}.")


def deployed(report: ReleaseReport, request: Request, decision: Release) -> EnvironmentOutcome:
    """How it ends where the candidate is live now."""
    part = report.of(request.environment)
    part.decision = f"released: {decision.reason}"
    why = request.reason if part.changed != SAME and request.reason else decision.reason
    return EnvironmentOutcome(
        "Completed", f"{request.environment} runs {part.candidate} ({part.changed}): {why}."
    )


def changed(snapshot: EnvironmentSnapshot, candidate: Candidate) -> str:
    """What distinguishes the candidate from what is deployed."""
    before = records.live(snapshot.history)
    return what_changed(before.content if before else None, candidate.content)


def nothing_promotable(run: RunContext, environment: str) -> str:
    """Why there is no candidate."""
    return f"nothing is good in {run.settings.environment(environment).promotes_from} yet, for long enough"


def name_run(run: RunContext, report: ReleaseReport, request: Request, candidate: Candidate) -> None:
    """For the list of runs and the report: what goes where, as far as it is known by now."""
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
