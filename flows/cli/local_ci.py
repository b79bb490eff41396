"""The stages of CI on this machine, without a server: the same plain functions, logged to a terminal.

It leaves out what a flow run adds: retries, commit statuses, cached test results, and moving `latest`, which
only one run may do at a time.
"""

import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import FrameType
from typing import Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from flows.cli.output import say
from flows.core.build.image import Image
from flows.core.build.test_results import TestResults, TestsFailed
from flows.core.errors import SlipwayError
from flows.core.text import printable
from flows.credentials import environment
from flows.services.models.transfer import Progress
from flows.services.process.temporary import in_use
from flows.stages import ci, halves
from flows.stages.ci import Fetched, Inputs
from flows.stages.context import RunContext, containers_removed, opened, stage_name
from flows.stages.machine_limits import machine_kept_small

P = ParamSpec("P")
R = TypeVar("R")

RANDOM = 12
OF_THIS_MACHINE = f"local-{socket.gethostname()}-"
"""How the ids of runs by hand on this machine begin; `RANDOM` characters follow."""

_stage: ContextVar[str] = ContextVar("stage", default="")
_console = Console(highlight=False, soft_wrap=True)


def run(ref: str, model: str, *, push: bool, fresh: bool) -> None:
    """Test, build and try out the image of a commit and a model on this machine, without Prefect.

    Nothing is pushed without `push`, and `latest` never moves: a run of ci/commit, or the poller, finds the
    pushed image and moves it without building anything. Raises what the stages raise; no container is left,
    after Ctrl-C either.
    """
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _interrupt)
    with opened(f"{OF_THIS_MACHINE}{uuid4().hex[:RANDOM]}", _say, _progress, environment) as run:
        try:
            outcome = run_stages(run, ref, model, push=push, fresh=fresh)
        except SlipwayError as failure:
            if isinstance(failure, TestsFailed):
                show_tests(failure.results)
            if failure.details:
                _console.print(failure.details, style="dim", markup=False)
            raise
        except KeyboardInterrupt:
            say("Interrupted: no container is left, and `latest` is as it was.")
            raise
        finally:
            show_stages(run)
    _console.print(outcome, style="bold", markup=False)


def run_stages(run: RunContext, ref: str, version: str, *, push: bool, fresh: bool) -> str:
    """The stages in order; what came of them, as a sentence."""
    commit = staged(run, ci.resolve_commit, ref)
    model = staged(run, ci.resolve_model, version)
    inputs = staged(run, ci.seal_capsule, commit, model)
    found = staged(run, ci.find_image, inputs)
    if found is not None and not fresh:
        return f"{inputs}: nothing to do, the registry has {found}."
    with machine_kept_small(run), containers_removed(run):
        remove_abandoned_containers(run)
        return build(run, inputs, found, push=push)


def remove_abandoned_containers(run: RunContext) -> None:
    """Remove those of killed runs by hand on this machine: no living process has a folder of theirs."""
    living = in_use()
    for other in run.engine.runs_with_containers():
        if is_of_this_machine(other) and not any(other[-RANDOM:] in folder for folder in living):
            count = run.engine.remove_containers(other)
            say(f"Removed {count} containers of {other}, which was killed.")


def is_of_this_machine(run_id: str) -> bool:
    """Whether it is the id of a run by hand here: another machine's name may begin with this one's."""
    return run_id.startswith(OF_THIS_MACHINE) and len(run_id) == len(OF_THIS_MACHINE) + RANDOM


def build(run: RunContext, inputs: Inputs, found: Image | None, *, push: bool) -> str:
    """The stages from inputs to an image that was tried out, and pushed where that was asked for.

    An image that the registry has already (`found`) is not replaced: releases name it by digest.
    """
    with _beside(lambda: staged(run, ci.fetch_model, inputs)) as fetched:
        show_tests(staged(run, ci.run_tests, inputs))
        model = fetched()
    if run.settings.app.model_path and push and found is None:
        return compose(run, inputs, model)
    image = built_here(run, inputs, model)
    staged(run, ci.smoke_test, inputs, image, model.folder)
    if found is not None:
        return f"{inputs}: tested, built and tried out. Nothing to push, the registry has {found}."
    name = f"{run.registry.name}:{inputs.tag}"
    if not push:
        here = f"On this engine, it is {ci.own_tag(run)}."
        return f"{inputs}: tested, built and tried out. It would be pushed as {name}. {here}"
    pushed = staged(run, ci.push_image, inputs, image, model.folder)
    return f"{inputs}: tested, built, tried out and pushed as {pushed}; latest stays."


def built_here(run: RunContext, inputs: Inputs, model: Fetched) -> str:
    """The id of the image on this engine; nothing of it goes to the registry."""
    if not run.settings.app.model_path:
        return staged(run, ci.build_image, inputs, model.folder)
    return staged(run, halves.assemble_image, inputs, staged(run, halves.build_code_half, inputs), model)


def compose(run: RunContext, inputs: Inputs, fetched: Fetched) -> str:
    """Push the halves that the registry lacks, compose the image, try it out, and tag it."""
    model = staged(run, halves.find_model_half, inputs) or staged(
        run, halves.push_model_half, inputs, fetched
    )
    code = staged(run, halves.find_code_half, inputs)
    if code is None:
        code = staged(run, halves.push_code_half, inputs, staged(run, halves.build_code_half, inputs))
    image = staged(run, halves.compose_image, inputs, code, model)
    staged(run, ci.smoke_test, inputs, staged(run, halves.pull_image, image), model.folder)
    tagged = staged(run, halves.tag_image, inputs, image, model)
    return f"{inputs}: tested, built, tried out and pushed as {tagged}; latest stays."


def staged(
    run: RunContext,
    stage: Callable[Concatenate[RunContext, P], R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """What the stage gives; its lines are shown under its name."""
    name = stage_name(stage)
    token = _stage.set(name)
    try:
        with run.stage(name):
            return stage(run, *args, **kwargs)
    finally:
        _stage.reset(token)


def show_tests(results: TestResults | None) -> None:
    """Totals, and each failed test with its message."""
    if results is None:
        return
    _console.print(f"Tests: {results}", markup=False)
    for case in results.failed:
        _console.print(f"  {case.name}: {case.failure}", style="red", markup=False)


def show_stages(run: RunContext) -> None:
    """How long each stage took."""
    table = Table(box=None, show_header=False)
    for stage in run.journal:
        table.add_row(stage.name, f"{stage.seconds:.1f} s", "" if stage.outcome == "done" else "[red]failed")
    _console.print(table)


@contextmanager
def _beside(work: Callable[[], R]) -> Iterator[Callable[[], R]]:
    """Do it in a thread beside the block, which gets a function that waits for the result."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool.submit(copy_context().run, work).result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _say(line: str) -> None:
    _console.print(f"{_stage.get():>14} | {printable(line)}", style="dim", markup=False)


def _progress(title: str) -> Progress:
    reported = 0

    def tell(done: int, total: int) -> None:
        nonlocal reported
        tenth = 10 * done // max(total, 1)
        if tenth > reported:
            reported = tenth
            _say(f"{title}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return tell


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End the run once: a second Ctrl-C does not interrupt the clean-up."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt
