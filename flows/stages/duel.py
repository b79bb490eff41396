"""The stages of a duel: asking both sides the same examples, and keeping the report."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.core.build.image import Image
from flows.core.duel.comparison import Pair, compare
from flows.core.duel.duel import Duel, NoDuel
from flows.core.duel.page import Thumbnails, html_page
from flows.core.errors import ImageNotFound, TrialFailed
from flows.services.images import smoke_test as smoke_tests
from flows.services.images.smoke_test import Limits, Serving
from flows.services.models import golden_set_files
from flows.services.models.thumbnails import thumbnail
from flows.services.verification.side_by_side import Asked, Question, ask_both
from flows.stages.ci import Inputs
from flows.stages.context import RunContext
from flows.stages.opponents import Opponents

KEPT = "Correct the application or the model. `latest` stays as it is."
"""What to do about a candidate that does not start or stops answering."""


@dataclass(frozen=True)
class HeldDuel:
    """A duel, and small pictures of the examples that changed most."""

    duel: Duel
    thumbnails: Thumbnails


def hold_duel(run: RunContext, inputs: Inputs, opponents: Opponents) -> HeldDuel | NoDuel:
    """Start both images beside each other, and ask both the examples in turn.

    `TrialFailed` where the candidate does not start or stops answering: no better image is due then. Where
    what is live does so, there is no duel.
    """
    settings = run.settings.duel
    assert settings is not None, "without the table, there are no opponents"
    folder = run.golden_sets.fetch(opponents.golden, run.progress(f"fetch {opponents.golden}"))
    began = time.monotonic()
    try:
        with _live_side(run, opponents) as live, _candidate_side(run, opponents) as candidate:
            asked = _ask(opponents, folder, candidate, live, settings.timeout)
            if asked.silent == "candidate":
                raise candidate.failed(f"In the duel, the candidate stopped answering: {asked.why}", KEPT)
    except _LiveFailed as failed:
        run.say(f"No duel: {failed}")
        return NoDuel(str(failed).rstrip("."))
    if asked.silent == "live":
        return NoDuel(f"what is {opponents.where} stopped answering: {asked.why.rstrip('.')}")
    if not asked.pairs:
        return NoDuel(f"no example was answered within {settings.timeout} s")
    held = Duel(
        opponents.golden,
        str(inputs),
        f"{opponents.live}, {opponents.where}",
        compare(asked.pairs),
        settings.margins,
        time.monotonic() - began,
        (*opponents.notes, *_cut(asked, opponents, settings.timeout)),
    )
    run.say(f"The duel: {held}.")
    run.say(held.meaning())
    return HeldDuel(held, _thumbnails(opponents, folder, held.comparison.most_changed))


def keep_duel_report(run: RunContext, held: HeldDuel, decision: str) -> None:
    """Keep the report as an HTML file in the results storage."""
    run.duel_reports.keep(run.id, html_page(held.duel, decision, held.thumbnails, run.id))
    run.say(f"The report of the duel is kept; open it with: slipway report {run.id[-12:]}")


class _LiveFailed(Exception):
    """What is live did not start, which says nothing of the candidate."""


@contextmanager
def _live_side(run: RunContext, opponents: Opponents) -> Iterator[Serving]:
    """What is live, as a container; `_LiveFailed` where that can't be had."""
    with ExitStack() as held:
        try:
            serving = held.enter_context(_started(run, opponents.live.image, "live"))
        except (TrialFailed, ImageNotFound) as failure:
            raise _LiveFailed(f"what is {opponents.where} can't be asked: {failure.happened}") from failure
        yield serving


@contextmanager
def _candidate_side(run: RunContext, opponents: Opponents) -> Iterator[Serving]:
    """The candidate, as a container; `TrialFailed` where it does not start."""
    with ExitStack() as held:
        try:
            serving = held.enter_context(_started(run, opponents.image, "candidate"))
        except TrialFailed as failure:
            raise TrialFailed(failure.happened, KEPT, details=failure.details) from failure
        yield serving


@contextmanager
def _started(run: RunContext, image: Image, role: str) -> Iterator[Serving]:
    app = run.settings.app
    run.engine.pull(str(image), app.platform, run.say)
    limits = Limits(app.port, app.ready_timeout, app.stop_timeout, app.tests.memory, app.probed_at)
    with smoke_tests.serving(run.engine, str(image), limits, f"duel-{role}") as one:
        yield one


def _ask(opponents: Opponents, folder: Path, candidate: Serving, live: Serving, seconds: float) -> Asked:
    golden = opponents.golden
    with golden_set_files.opened(folder) as inputs:
        questions = [Question(one, golden.label(one), inputs.read) for one in opponents.examples]
        return ask_both(
            candidate.endpoint,
            live.endpoint,
            questions,
            seconds=seconds,
            chance=random.Random(),  # noqa: S311  # who is asked first is no secret
        )


def _cut(asked: Asked, opponents: Opponents, seconds: float) -> list[str]:
    """A note where the time did not suffice for all examples."""
    if len(asked.pairs) == len(opponents.examples):
        return []
    return [f"{len(asked.pairs)} of {len(opponents.examples)} examples were asked within {seconds:g} s"]


def _thumbnails(opponents: Opponents, folder: Path, pairs: Sequence[Pair]) -> Thumbnails:
    found = {}
    with golden_set_files.opened(folder) as inputs:
        for pair in pairs:
            if (small := thumbnail(inputs.read(pair.example))) is not None:
                found[pair.example.input] = small
    return found
