"""CI: a commit and a model become a tested, tried-out image in the registry, and `latest` where it is due."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from flows import report, tasks
from flows.core.commit import Commit
from flows.core.errors import SlipwayError, TestsFailed
from flows.core.image import Image
from flows.core.pointer import Keep, Move
from flows.core.run_names import branch_tag, ci_name, commit_tag, model_tag
from flows.flow_run import LATEST, one_at_a_time, reported_run
from flows.run import Run, containers_removed
from flows.runs_list import failures_told, show
from flows.stages.ci import LISTED, WANTED, Inputs, passed_over, tell_status


@flow(name="ci", flow_run_name="{ref} + {model} model")
@failures_told
def ci(ref: str = "HEAD", model: str = WANTED, branch: str = "", since: str = "") -> State[None]:
    """Test, build, try out and push the image of a commit and a model.

    Args:
        ref: the commit: a branch, a tag, a SHA (short will do), or HEAD, the repository's own.
        model: `wanted`: the pinned version, or else the newest. A version pins it for all runs after this
            one, until one with `newest` lifts the pin.
        branch: the branch that the commit was pushed to, where that is known.
        since: the commit that was the newest before: those in between are listed as passed over.
    """
    with reported_run("ci") as (run, facts), verdict_kept(run, facts, branch):
        facts |= {"asked for": f"{ref}, {model} model"}
        inputs = resolve(run, ref, model, branch)
        facts |= {"commit": inputs.commit, "branch": inputs.commit.branch or "none", "model": inputs.model}
        name_run(run, inputs)
        if passed := passed_over(run, inputs.commit, since):
            facts |= {"passed over": "; ".join(passed[:LISTED])}
        with status_told(run, inputs.commit):
            return image_of(run, inputs, facts)


def image_of(run: Run, inputs: Inputs, facts: dict[str, object]) -> State[None]:
    """The stages after the inputs are known."""
    facts |= {"capsule": inputs.capsule.hash, "changed": tasks.compare_with_latest(run, inputs)}
    image = tasks.find_image(run, inputs)
    built = image is None
    if image is None:
        with containers_removed(run):
            image = build(run, inputs)
    moved = tasks.decide_latest(run, inputs, image)
    if isinstance(moved, Move):
        with one_at_a_time(LATEST):
            moved = tasks.move_latest(run, inputs, image)
    facts |= {"image": image, "built": "yes" if built else "no: the registry had it", "latest": moved}
    announce(inputs, image, moved)
    done = "built, tested and pushed" if built else "nothing to build"
    facts["outcome"] = f"{inputs}: {done}; {_told(moved)}."
    return Completed(message=str(facts["outcome"]))


def name_run(run: Run, inputs: Inputs) -> None:
    """For the list of runs, and for whoever looks for the runs of a commit, a branch or a model."""
    commit, model = inputs.commit, inputs.model
    on_branch = [branch_tag(commit.branch)] if commit.branch else []
    tags = (*on_branch, commit_tag(commit.sha), model_tag(model.name, model.version))
    show(run, ci_name(str(inputs), commit.branch), *tags)


@contextmanager
def verdict_kept(run: Run, facts: dict[str, object], branch: str) -> Iterator[None]:
    """The branch's ledger gets this run's verdict; of a run that was cancelled there is none.

    `branch` is what was asked for, which counts until the commit is known.
    """
    try:
        yield
    except SlipwayError as error:
        report.publish_verdict(run, _branch(facts, branch), f"failed: {error.happened}", facts)
        raise
    report.publish_verdict(run, _branch(facts, branch), str(facts["outcome"]), facts)


def _branch(facts: dict[str, object], asked_for: str) -> str:
    commit = facts.get("commit")
    return commit.branch if isinstance(commit, Commit) else asked_for


@contextmanager
def status_told(run: Run, commit: Commit) -> Iterator[None]:
    """Tell the commit's host that it is being built, and how that ended."""
    link = runtime.flow_run.ui_url or ""
    tell_status(run, commit, "pending", "Being tested and built", link)
    try:
        yield
    except BaseException as error:  # a cancel as well
        happened = error.happened if isinstance(error, SlipwayError) else "The run was cut off"
        tell_status(run, commit, "failure", happened, link)
        raise
    tell_status(run, commit, "success", "Tested, tried out and in the registry", link)


def resolve(run: Run, ref: str, version: str, branch: str) -> Inputs:
    """The stages that find out what the image would be made of."""
    model = tasks.resolve_model.submit(run, version)
    commit = tasks.resolve_commit(run, ref, branch)
    return tasks.seal_capsule(run, commit, model.result())


def build(run: Run, inputs: Inputs) -> Image:
    """The stages from inputs to a pushed image; tests and model come side by side."""
    fetched = tasks.fetch_model.submit(run, inputs)
    run_tests(run, inputs)
    model = fetched.result()
    built = tasks.build_image(run, inputs, model)
    tasks.try_out(run, inputs, built, model)
    return tasks.push_image(run, inputs, built, model)


def run_tests(run: Run, inputs: Inputs) -> None:
    """The stage with its table, which a run that fails by it shows as well."""
    table = f"tests-{inputs.capsule.short}"
    try:
        results = tasks.run_tests(run, inputs)
    except TestsFailed as failure:
        if failure.results:
            report.publish_tests(run, failure.results, table)
        raise
    report.publish_tests(run, results, table)


def announce(inputs: Inputs, image: Image, moved: Move | Keep) -> None:
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
            "latest": isinstance(moved, Move),
        },
    )


def _told(moved: Move | Keep) -> str:
    return f"latest {'moved' if isinstance(moved, Move) else 'stays'}: {moved.reason}"
