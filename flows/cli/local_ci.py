"""The stages of CI on this machine, without a server: the same plain functions, told to a terminal.

What a flow run adds is left out: further tries after a failure that may pass, commit statuses, what is
remembered of earlier tests, and moving `latest`, which only one may do at a time.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import FrameType
from typing import Concatenate, NoReturn, ParamSpec, TypeVar
from uuid import uuid4

import click
from rich.console import Console
from rich.table import Table

from flows.core.build.image import Image
from flows.core.build.test_results import TestResults
from flows.core.errors import SettingsError, SlipwayError, TestsFailed
from flows.credentials import environment
from flows.services.models.transfer import Progress
from flows.stages import ci
from flows.stages.ci import WANTED, Inputs
from flows.stages.context import RunContext, containers_removed, opened

P = ParamSpec("P")
R = TypeVar("R")

SETTINGS_WRONG, FAILED, INTERRUPTED = 2, 1, 130

_stage: ContextVar[str] = ContextVar("stage", default="")
_console = Console(highlight=False, soft_wrap=True)


_CREDENTIALS = f"""\b
Credentials, and what counts without them:
  {environment.TOKEN}               git's own on this machine
  {environment.USERNAME}, {environment.PASSWORD}
                                     docker login, az acr login
  {environment.CONNECTION_STRING}    az login, at the account of
  {environment.ACCOUNT_URL}
  AWS_REGION, AWS_ACCESS_KEY_ID, …   the machine's role, for a bucket
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_CREDENTIALS)
@click.option("--local", is_flag=True, help="Run the stages here; nothing else is offered.")
@click.option("--ref", default="HEAD", show_default=True, help="Branch, tag or SHA. Commit first.")
@click.option(
    "--model", default=WANTED, show_default=True, help="`wanted`, `newest` or a version; pins nothing."
)
@click.option("--push", is_flag=True, help="Push the image, too, under its capsule's tag.")
@click.option("--fresh", is_flag=True, help="Go through all stages even if the registry has the image.")
def main(local: bool, ref: str, model: str, push: bool, fresh: bool) -> None:
    """Test, build and try out the image of a commit and a model on this machine, without Prefect.

    Nothing is pushed without --push, and `latest` never moves: a run of ci/commit, or the watch, finds the
    pushed image and moves it without building anything. The repository is that of slipway.toml; to build from
    this checkout what you have not pushed yet, set SLIPWAY_SOURCE__REPOSITORY=.

    Exit status: 0 all is well, 1 a stage failed, 2 wrong settings, 130 interrupted. No container is left.
    """
    if not local:
        raise click.UsageError(
            f"Say --local; through Prefect it is: prefect deployment run ci/commit --param ref={ref}"
        )
    with opened(f"local-{uuid4().hex[:12]}", _say, _progress, environment) as run:
        try:
            outcome = run_stages(run, ref, model, push=push, fresh=fresh)
        except TestsFailed as failure:
            show_tests(failure.results)
            raise
        finally:
            show_stages(run)
    _console.print(outcome, style="bold", markup=False)


def run_stages(run: RunContext, ref: str, version: str, *, push: bool, fresh: bool) -> str:
    """The stages in order; what came of them, as a sentence."""
    commit = staged(run, "resolve commit", ci.resolve_commit, ref)
    model = staged(run, "resolve model", ci.find_model, version)
    inputs = staged(run, "seal capsule", ci.seal_capsule, commit, model)
    found = staged(run, "find image", ci.find_image, inputs)
    if found is not None and not fresh:
        return f"{inputs}: nothing to do, the registry has {found}."
    with containers_removed(run):
        return build(run, inputs, found, push=push)


def build(run: RunContext, inputs: Inputs, found: Image | None, *, push: bool) -> str:
    """The stages from inputs to an image that was tried out, and pushed where that was asked for.

    One that the registry has already (`found`) stays as it is there: releases name it by digest.
    """
    with _beside(lambda: staged(run, "fetch model", ci.fetch_model, inputs)) as fetched:
        show_tests(staged(run, "run tests", ci.run_tests, inputs))
        model = fetched().folder
    image = staged(run, "build image", ci.build_image, inputs, model)
    staged(run, "try out", ci.smoke_test, inputs, image, model)
    if found is not None:
        return f"{inputs}: tested, built and tried out. Nothing to push, the registry has {found}."
    name = f"{run.registry.name}:{inputs.capsule.tag}"
    if not push:
        return f"{inputs}: tested, built and tried out. It would be pushed as {name}."
    pushed = staged(run, "push image", ci.push_image, inputs, image, model)
    return f"{inputs}: tested, built, tried out and pushed as {pushed}; latest stays."


def staged(
    run: RunContext,
    name: str,
    stage: Callable[Concatenate[RunContext, P], R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """What the stage gives; its lines are shown under its name."""
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
    """Do it in a thread beside the block, which gets a function that waits for it; nobody has to."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool.submit(copy_context().run, work).result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _say(line: str) -> None:
    _console.print(f"{_stage.get():>14} | {line}", style="dim", markup=False)


def _progress(title: str) -> Progress:
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(total, 1)
        if tenth > told:
            told = tenth
            _say(f"{title}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")

    return tell


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End once; a second Ctrl-C does not keep what was started from being removed."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def run_to_the_end() -> NoReturn:
    """The command line: exit with its status, an error told in one line."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _interrupt)
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SlipwayError as error:
        if error.details:
            _console.print(error.details, style="dim", markup=False)
        click.echo(f"Error: {error}", err=True)
        sys.exit(SETTINGS_WRONG if isinstance(error, SettingsError) else FAILED)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted: no container is left, and `latest` is as it was.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(0)
