"""CI: a commit and a model become a tested, tried-out image in the registry, and `latest` where it is due."""

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
from flows.core.errors import CommitNotThere, SlipwayError
from flows.core.trigger.run_labels import branch_tag, ci_name, commit_tag, model_tag
from flows.procedures.build import build, test
from flows.runtime import artifacts, tasks
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.global_lock import LATEST, global_lock
from flows.runtime.run_labels import show
from flows.services.git.commit_status import BuildStatus
from flows.stages.ci import WANTED, Inputs, listed, passed_over, tell_status
from flows.stages.context import RunContext, containers_removed


@flow(name="ci", flow_run_name="{ref} + {model} model")
@returns_failed_state
def ci(
    ref: str = "HEAD", model: str = WANTED, branch: str = "", since: str = "", fresh: bool = False
) -> State[None]:
    """Test, build, try out and push the image of a commit and a model.

    Args:
        ref: the commit: a branch, a tag, a SHA (short will do), or HEAD, the repository's own.
        model: `wanted`: the pinned version, or else the newest. A version pins it for all runs after this
            one, until one with `newest` lifts the pin.
        branch: the branch that the commit was pushed to, where that is known.
        since: the commit that was the newest before: those in between are listed as passed over.
        fresh: run the tests even where they passed before with the same content.
    """
    report = CiReport(f"{ref}, {model} model", branch)
    with run_context("ci", report) as run, branch_page_updated(run, report):
        coming = tasks.resolve_model.submit(run, model)
        report.commit = commit = tasks.resolve_commit(run, ref, branch)
        report.passed_over = listed(passed_over(run, commit, since))
        with reported_commit_status(run, commit):
            report.model = resolved = coming.result()
            if model != WANTED:  # only now: there is a commit to build it with
                tasks.pin_model(run, resolved, model)
            inputs = tasks.seal_capsule(run, commit, resolved)
            report.capsule = inputs.capsule.hash
            name_run(run, inputs)
            report.changed = tasks.compare_with_latest(run, inputs)
            known = tasks.find_image(run, inputs)
            report.is_built = known is None
            with containers_removed(run):
                if known is not None and fresh:
                    test(run, inputs, report, fresh=fresh)
                report.image = image = known or build(run, inputs, report, fresh=fresh)
            report.latest = latest = update_latest(run, inputs, image)
            announce(inputs, image, latest)
            done = "built, tested and pushed" if report.is_built else "nothing to build"
            report.outcome = f"{inputs}: {done}; latest {latest}."
            return Completed(message=report.outcome)


def update_latest(run: RunContext, inputs: Inputs, image: Image) -> Move | Keep:
    """Move `latest` to the image where that is due, while no other run moves it; what was decided."""
    decision = tasks.decide_latest(run, inputs, image)
    if isinstance(decision, Keep):
        return decision
    with global_lock(LATEST):
        return tasks.move_latest(run, inputs, image)


def name_run(run: RunContext, inputs: Inputs) -> None:
    """For the list of runs, and for a search for the runs of a commit, a branch or a model."""
    commit, model = inputs.commit, inputs.model
    on_branch = [branch_tag(commit.branch)] if commit.branch else []
    tags = (*on_branch, commit_tag(commit.sha), model_tag(model.name, model.version))
    show(run, ci_name(str(inputs), commit.branch), *tags)


@contextmanager
def branch_page_updated(run: RunContext, report: CiReport) -> Iterator[None]:
    """The branch's page says how this run ended; not of one that was cancelled, or whose commit has not
    arrived."""
    try:
        yield
    except CommitNotThere:
        raise
    except SlipwayError as error:
        artifacts.publish_branch_page(run, report, f"failed: {error.happened}")
        raise
    artifacts.publish_branch_page(run, report, report.outcome)


@contextmanager
def reported_commit_status(run: RunContext, commit: Commit) -> Iterator[None]:
    """Tell the commit's host that it is being built, and how that ended."""

    def tell(status: BuildStatus, description: str) -> None:
        with artifacts.best_effort("The commit's status", run.say):  # its token is in a block
            tell_status(run, commit, status, description, runtime.flow_run.ui_url or "")

    tell("pending", "Being tested and built")
    try:
        yield
    except BaseException as error:  # a cancel as well
        tell("failure", error.happened if isinstance(error, SlipwayError) else "The run was cut off")
        raise
    tell("success", "Tested, tried out and in the registry")


def announce(inputs: Inputs, image: Image, latest: Move | Keep) -> None:
    """Tell Prefect's event feed, for automations to act on."""
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
            "latest": isinstance(latest, Move),
        },
    )
