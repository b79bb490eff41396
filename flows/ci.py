"""CI: a commit and a model become a tested image in the registry, and `latest` names it where that is due."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from flows.core.build.commit import Commit
from flows.core.build.image import Image
from flows.core.build.latest import Keep, Move
from flows.core.build.report import CiReport
from flows.core.errors import SlipwayError, TransientError
from flows.core.trigger.run_labels import base_tag, branch_tag, ci_name, commit_tag, image_tag, model_tag
from flows.procedures.build import build, test
from flows.procedures.duel import DuelRequest, duel
from flows.runtime import artifacts, tasks
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import is_tried_again
from flows.runtime.global_lock import LATEST, global_lock
from flows.runtime.run_labels import show
from flows.services.git.commit_status import BuildStatus
from flows.stages.ci import WANTED, Inputs, listed, passed_over, tell_status
from flows.stages.context import RunContext, containers_removed
from flows.stages.housekeeping import remove_abandoned_containers
from flows.stages.machine_limits import machine_kept_small


@flow(name="ci", flow_run_name="{ref} + {model} model")
@is_tried_again
def ci(
    ref: str = "HEAD",
    model: str = WANTED,
    branch: str = "",
    since: str = "",
    *,
    fresh: bool = False,
    pin: bool = True,
    against: str = "",
    force: str = "",
) -> State[None]:
    """Test, build, smoke-test and push the image of a commit and a model.

    Args:
        ref: the commit: a branch, a tag, a SHA (also a short one), or HEAD, the repository's own.
        model: `wanted`: the pinned version, or else the newest. A version is pinned for all later runs,
            until a run with `newest` lifts the pin.
        branch: the branch that the commit was pushed to, if that is known.
        since: the commit that was the newest before: those in between are listed as passed over.
        fresh: run the tests even if they passed before with the same content.
        pin: pin the version. A release of one half asks for a version without pinning it.
        against: the image to compare with in a duel, by tag, capsule or digest; also for another branch. By
            default, what the last environment runs.
        force: a reason for which `latest` moves although the duel found the image worse; others will read it.
    """
    report = CiReport(f"{ref}, {model} model", branch)
    with run_context("ci", report) as run, machine_kept_small(run), branch_page_updated(run, report):
        coming = tasks.resolve_model.submit(run, model)
        report.commit = commit = tasks.resolve_commit(run, ref, branch)
        report.passed_over = listed(passed_over(run, commit, since))
        with reported_commit_status(run, commit):
            report.model = resolved = coming.result()
            if model != WANTED and pin:  # not before the commit is known: a run without one pins nothing
                tasks.pin_model(run, resolved, model)
            inputs = tasks.seal_capsule(run, commit, resolved)
            report.capsule = inputs.capsule.hash
            name_run(run, inputs)
            report.changed = tasks.compare_with_latest(run, inputs)
            known = tasks.find_image(run, inputs)
            report.is_built = known is None
            with containers_removed(run):
                clear_engine(run)
                if known is not None and fresh:
                    test(run, inputs, report, fresh=fresh)
                report.image = image = known or build(run, inputs, report, fresh=fresh)
            show(run, None, image_tag(image.digest))
            report.latest = latest = update_latest(run, inputs, image, report, DuelRequest(against, force))
            announce(inputs, image, latest)
            report.outcome = f"{inputs}: {done(report)}; latest {latest}."
            return Completed(message=report.outcome)


def done(report: CiReport) -> str:
    """What the run did for the image."""
    if not report.is_built:
        return "nothing to build"
    return "composed, tried out and pushed" if report.is_composed else "built, tested and pushed"


def clear_engine(run: RunContext) -> None:
    """Remove what killed runs left on the engine. If Prefect can't say which runs, the next run does it."""
    try:
        remove_abandoned_containers(run, dry_run=False)
    except TransientError as error:
        run.say(f"Containers of killed runs may be left. {error.happened}")


def update_latest(
    run: RunContext, inputs: Inputs, image: Image, report: CiReport, request: DuelRequest
) -> Move | Keep:
    """Move `latest` to the image if that is due and the duel does not keep it, while no other run moves it;
    what was decided."""
    decision = tasks.decide_latest(run, inputs, image)
    kept = ""
    if isinstance(decision, Move) or request.against:
        kept = duel(run, inputs, image, report, request)
    if isinstance(decision, Keep):
        return decision
    if kept:
        run.say(f"Keep latest: {kept}.")
        return Keep(kept)
    with global_lock(LATEST):
        return tasks.move_latest(run, inputs, image, report.forced)


def name_run(run: RunContext, inputs: Inputs) -> None:
    """Name and tag the run, so that people and triggers find it by commit, branch, model and base image."""
    commit, model = inputs.commit, inputs.model
    on_branch = [branch_tag(commit.branch)] if commit.branch else []
    base = base_tag(inputs.base_image.reference)
    tags = (*on_branch, commit_tag(commit.sha), model_tag(model.name, model.version), base)
    show(run, ci_name(str(inputs), commit.branch), *tags)


@contextmanager
def branch_page_updated(run: RunContext, report: CiReport) -> Iterator[None]:
    """Write into the branch's page how this run ended, unless it was cancelled, or is tried again because a
    system was away or its commit has not arrived."""
    try:
        yield
    except TransientError:
        raise
    except SlipwayError as error:
        artifacts.publish_branch_page(run, report, f"failed: {error.happened}")
        raise
    artifacts.publish_branch_page(run, report, report.outcome)


@contextmanager
def reported_commit_status(run: RunContext, commit: Commit) -> Iterator[None]:
    """Send the commit's host the status that the commit is being built, and then how that ended."""

    def tell(status: BuildStatus, description: str) -> None:
        with artifacts.best_effort("The commit's status", run.say):  # its token is in a block
            tell_status(run, commit, status, description, runtime.flow_run.ui_url or "")

    tell("pending", "Being tested and built")
    try:
        yield
    except TransientError as error:  # an outage says nothing about the commit
        tell("pending", f"It is tried again: {error.happened}")
        raise
    except BaseException as error:  # also a cancel
        tell("failure", error.happened if isinstance(error, SlipwayError) else "The run was cut off")
        raise
    tell("success", "Tested, tried out and in the registry")


def announce(inputs: Inputs, image: Image, latest: Move | Keep) -> None:
    """Emit the event that the image was published, so that automations can act on it."""
    emit_event(
        "slipway.image.published",
        resource={
            "prefect.resource.id": f"slipway.image.{image.digest}",
            "prefect.resource.name": str(image),
        },
        payload={
            "commit": inputs.commit.sha,
            "model": str(inputs.model),
            "capsule": inputs.capsule.hash,
            "trust": inputs.commit.trust,
            "latest": isinstance(latest, Move),
        },
    )
