"""CI: a commit and a model become a tested, tried-out image in the registry, and `latest` where it is due."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

from prefect import flow, runtime
from prefect.client.schemas.objects import State, StateType
from prefect.events import emit_event
from prefect.states import Completed

from flows.core.build.commit import Commit
from flows.core.build.image import Image
from flows.core.build.latest import Keep, Move
from flows.core.build.test_results import TestResults
from flows.core.errors import CommitNotThere, SlipwayError, TestsFailed
from flows.core.model.model import Model
from flows.core.trigger.run_labels import branch_tag, ci_name, commit_tag, model_tag
from flows.runtime import artifacts, tasks
from flows.runtime.flow_context import LATEST, global_lock, run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show
from flows.services.git.commit_status import BuildStatus
from flows.stages.ci import WANTED, Inputs, listed, passed_over, tell_status
from flows.stages.context import RunContext, containers_removed
from flows.stages.test_cache import Earlier

P = ParamSpec("P")

NOT_THERE_YET = "NotThereYet"
"""What a run is called whose commit was announced and has not arrived. Its state is of the type of a crash,
after which triggers start a commit anew; as it is not called Crashed, nobody is told of one."""


def ends_not_there_yet(body: Callable[P, State[None]]) -> Callable[P, State[Any]]:
    """The flow, which ends as `NOT_THERE_YET` where an announced commit has not arrived in any of its tries.

    The repository may lag for longer than a run ought to hold a place; the watch sees when it is there.
    """

    @wraps(body)
    def ci(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return body(*args, **kwargs)
        except CommitNotThere as error:
            return State(type=StateType.CRASHED, name=NOT_THERE_YET, message=str(error), data=error)

    return ci


@flow(name="ci", flow_run_name="{ref} + {model} model")
@returns_failed_state
@ends_not_there_yet
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
    with run_context("ci") as (run, facts), branch_page_updated(run, facts, branch):
        facts |= {"asked for": f"{ref}, {model} model"}
        coming = tasks.resolve_model.submit(run, model)
        commit = tasks.resolve_commit(run, ref, branch)
        facts |= {"commit": commit, "branch": commit.branch or "none"}
        if passed := passed_over(run, commit, since):
            facts |= {"passed over": listed(passed)}
        with reported_commit_status(run, commit):
            inputs = inputs_of(run, commit, coming.result(), model)
            facts |= {"model": inputs.model}
            name_run(run, inputs)
            return image_of(run, inputs, facts, fresh=fresh)


def inputs_of(run: RunContext, commit: Commit, model: Model, asked_for: str) -> Inputs:
    """Everything that the image would be made of; a version that was asked for is pinned, now it is known
    that there is a commit to build it with."""
    if asked_for != WANTED:
        tasks.pin_model(run, model, asked_for)
    return tasks.seal_capsule(run, commit, model)


def image_of(run: RunContext, inputs: Inputs, facts: dict[str, object], *, fresh: bool) -> State[None]:
    """The stages after the inputs are known."""
    facts |= {"capsule": inputs.capsule.hash, "changed": tasks.compare_with_latest(run, inputs)}
    image = tasks.find_image(run, inputs)
    built = image is None
    with containers_removed(run):
        if image is None:
            image = build(run, inputs, facts, fresh=fresh)
        elif fresh:
            test(run, inputs, facts, fresh=fresh)
    moved = tasks.decide_latest(run, inputs, image)
    if isinstance(moved, Move):
        with global_lock(LATEST):
            moved = tasks.move_latest(run, inputs, image)
    facts |= {"image": image, "built": "yes" if built else "no: the registry had it", "latest": moved}
    announce(inputs, image, moved)
    done = "built, tested and pushed" if built else "nothing to build"
    facts["outcome"] = f"{inputs}: {done}; {_told(moved)}."
    return Completed(message=str(facts["outcome"]))


def name_run(run: RunContext, inputs: Inputs) -> None:
    """For the list of runs, and for whoever looks for the runs of a commit, a branch or a model."""
    commit, model = inputs.commit, inputs.model
    on_branch = [branch_tag(commit.branch)] if commit.branch else []
    tags = (*on_branch, commit_tag(commit.sha), model_tag(model.name, model.version))
    show(run, ci_name(str(inputs), commit.branch), *tags)


@contextmanager
def branch_page_updated(run: RunContext, facts: dict[str, object], branch: str) -> Iterator[None]:
    """The branch's ledger gets this run's verdict; there is none of a run that was cancelled, or whose commit
    has not arrived.

    `branch` is what was asked for, which counts until the commit is known.
    """
    try:
        yield
    except CommitNotThere:
        raise
    except SlipwayError as error:
        artifacts.publish_verdict(run, _branch(facts, branch), f"failed: {error.happened}", facts)
        raise
    artifacts.publish_verdict(run, _branch(facts, branch), str(facts["outcome"]), facts)


def _branch(facts: dict[str, object], asked_for: str) -> str:
    commit = facts.get("commit")
    return commit.branch if isinstance(commit, Commit) else asked_for


@contextmanager
def reported_commit_status(run: RunContext, commit: Commit) -> Iterator[None]:
    """Tell the commit's host that it is being built, and how that ended."""

    def tell(verdict: BuildStatus, description: str) -> None:
        with artifacts.best_effort("The commit's status", run.say):  # its token is in a block
            tell_status(run, commit, verdict, description, runtime.flow_run.ui_url or "")

    tell("pending", "Being tested and built")
    try:
        yield
    except BaseException as error:  # a cancel as well
        tell("failure", error.happened if isinstance(error, SlipwayError) else "The run was cut off")
        raise
    tell("success", "Tested, tried out and in the registry")


def build(run: RunContext, inputs: Inputs, facts: dict[str, object], *, fresh: bool) -> Image:
    """The stages from inputs to a pushed image; tests and model come side by side."""
    coming = tasks.fetch_model.submit(run, inputs)
    test(run, inputs, facts, fresh=fresh)
    fetched = coming.result()
    facts |= {"model's files": fetched.how}
    model = fetched.folder
    built = tasks.build_image(run, inputs, model)
    tasks.smoke_test(run, inputs, built, model)
    return tasks.push_image(run, inputs, built, model)


def test(run: RunContext, inputs: Inputs, facts: dict[str, object], *, fresh: bool) -> None:
    """The tests, unless they passed before with the same content; what fails is never remembered."""
    table = f"tests-{inputs.capsule.short}"
    earlier = tasks.look_up_tests(run, inputs, fresh=fresh)
    if (passed := earlier.passed) is not None:
        results = passed.results
        facts |= {"tests": f"passed before, in {_named(passed.run)}: {results}"}
    else:
        results = run_tests(run, inputs, table, earlier)
        facts |= {"tests": results}
        if earlier.answers:
            tasks.keep_tests(run, inputs, results)
    artifacts.publish_tests(run, results, table)


def run_tests(run: RunContext, inputs: Inputs, table: str, earlier: Earlier) -> TestResults:
    """The stage; a run that fails by it shows its table as well, and leaves no earlier pass that it could not
    look up."""
    try:
        return tasks.run_tests(run, inputs)
    except TestsFailed as failure:
        if not earlier.answers:
            tasks.forget_tests(run, inputs)
        if failure.results:
            artifacts.publish_tests(run, failure.results, table)
        raise


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


def _named(run: str) -> str:
    """A run as a report names it, with a link to its page."""
    this, link = str(runtime.flow_run.id), runtime.flow_run.ui_url or ""
    if run == this:
        return "this run"
    return f"[run {run}]({link.replace(this, run)})" if link else f"run {run}"


def _told(moved: Move | Keep) -> str:
    return f"latest {'moved' if isinstance(moved, Move) else 'stays'}: {moved.reason}"
