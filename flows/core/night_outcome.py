"""What became of a night: for whoever has to be told by morning, and for the table of nights."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from flows.core.night import Known, NightlyRun, Skip

NIGHTS_KEPT = 30

PREFECT_SAYS = r"^Flow run encountered an exception: \w+: "
"""Before what an error says itself."""

COLUMNS = ("night", "outcome", "why", "run")
Row = Mapping[str, str]
Link = Callable[[str], str]

START_BY_HAND = "start release/nightly by hand if it is not to wait for the next night"


@dataclass(frozen=True)
class Outcome:
    """How a night went: a word, the reason, and whose move it is; `settled` where nobody has to be told.

    `run` is the id of the run that it is told of; None: there is none.
    """

    word: str
    why: str
    move: str = ""
    settled: bool = True
    run: str | None = None

    def __str__(self) -> str:
        return f"{self.word}: {self.why.rstrip('.')}" if self.why else self.word


@dataclass(frozen=True)
class Standing:
    """What the server says of the nightly deployment: `paused`, and since when it is there."""

    paused: bool
    since: datetime


def outcome_of(run: NightlyRun) -> Outcome:
    """What a run's state says."""
    why = re.sub(PREFECT_SAYS, "", run.message)
    match run.state:
        case "COMPLETED":
            words = {"Completed": "released", "Skipped": "skipped"}
            return Outcome(words.get(run.state_name, "not approved"), why, run=run.id)
        case "PAUSED":
            return Outcome("waiting for approval", "the form is on the run's page", run=run.id)
        case "FAILED":
            return _open(run, "failed", why, f"ops: read why on the run's page, and {START_BY_HAND}")
        case "CRASHED":
            return _open(run, "crashed", why, f"ops: {START_BY_HAND}")
        case "CANCELLED" | "CANCELLING":
            return _open(run, "cancelled", why, f"whoever cancelled it: {START_BY_HAND}")
        case "RUNNING":
            return _open(run, "still running", "it has not ended yet", "ops: see on its page where it stands")
        case _:
            why = "no worker has taken it up, or its work queue is full"
            return _open(run, "not begun", why, "ops: look at worker and queues at Work Pools")


def judge(known: Known, standing: Standing, moment: datetime) -> Outcome:
    """The outcome of the last night that was due before `moment`; a run by hand since then counts too.

    A run that is about to skip itself is told as skipped: after a downtime it may be asked about before it
    has said so.
    """
    nights = known.nights
    due = nights.last_due(moment)
    found = [run for run in _latest_first(known) if _belongs(known, run, due)]
    if found:
        return max((_foretold(known, run) for run in found), key=_weight)
    if standing.paused:
        return Outcome("skipped", "the schedule of the nightly release is paused")
    if standing.since > due:
        return Outcome("skipped", f"the nightly release was registered only at {nights.time(standing.since)}")
    return Outcome(
        "no run",
        f"the scheduler made none for {nights.time(due)}: the server was down, or the schedule changed",
        f"ops: is the schedule of release/nightly in force? Then {START_BY_HAND}",
        settled=False,
    )


def table(before: Sequence[Row], known: Known, link: Link) -> list[Row]:
    """A row per night, newest first: of the runs that are known, else as it was `before`.

    Made from the runs anew each time, so that two that end at the same moment can't lose each other's row.
    """
    told: dict[str, Outcome] = {}
    for run in _latest_first(known):
        if not run.by_clock or run.state in {"SCHEDULED", "PENDING"}:
            continue
        night, outcome = str(known.night_of(run)), outcome_of(run)
        if night not in told or _weight(outcome) > _weight(told[night]):
            told[night] = outcome
    return bounded([*before, *(row(night, outcome, link) for night, outcome in told.items())])


def bounded(rows: Sequence[Row]) -> list[Row]:
    """The newest so many nights, newest first; of two rows for one night the later in the sequence."""
    by_night = {row["night"]: row for row in rows}
    return [by_night[night] for night in sorted(by_night, reverse=True)][:NIGHTS_KEPT]


def row(night: date | str, outcome: Outcome, link: Link) -> Row:
    """What the table says of a night."""
    values = (str(night), outcome.word, outcome.why, link(outcome.run) if outcome.run else "")
    return dict(zip(COLUMNS, values, strict=True))


def _open(run: NightlyRun, word: str, why: str, move: str) -> Outcome:
    return Outcome(word, why, move, settled=False, run=run.id)


def _latest_first(known: Known) -> list[NightlyRun]:
    """Runs that were due, or began before they were, as when the clock went back."""
    begun = [run for run in known.runs if run.due <= known.now or run.started is not None]
    return sorted(begun, key=lambda run: run.due, reverse=True)


def _belongs(known: Known, run: NightlyRun, due: datetime) -> bool:
    """Whether the run is of the night that was due then, or was started by hand since."""
    return known.night_of(run) == known.nights.date(due) if run.by_clock else run.due >= due


def _foretold(known: Known, run: NightlyRun) -> Outcome:
    if run.by_clock and run.state in {"SCHEDULED", "PENDING", "RUNNING"}:
        decision = known.decide(run)
        if isinstance(decision, Skip):
            return Outcome("skipped", decision.reason, run=run.id)
    return outcome_of(run)


def _weight(outcome: Outcome) -> int:
    """A release, or what became of it, over a skip, over what has come to nothing (yet)."""
    if outcome.word in {"crashed", "cancelled", "still running", "not begun"}:
        return 0
    return 1 if outcome.word == "skipped" else 2
