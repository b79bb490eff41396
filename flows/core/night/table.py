"""The table of nights: a row for each, with what became of it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from flows.core.markdown import plain
from flows.core.night.outcome import NightOutcome, expected_outcome, latest_first, weight
from flows.core.night.schedule import NightlyRuns

NIGHTS_KEPT = 30

COLUMNS = ("night", "outcome", "why", "run")

GOES_ON = {"still running", "waiting for approval"}
"""Outcomes in the table that the run's own end replaces."""

Row = Mapping[str, str]
Link = Callable[[str], str]


def table(before: Sequence[Row], runs: NightlyRuns, link: Link) -> list[Row]:
    """A row per night, newest first: from the runs that are known, else the row from `before`.

    Two runs that end together see each other still running. So a row with the end of a run stays. A row that
    the later of two writers had not read comes back with the next run, or with the check.
    """
    ended = {one["run"]: one for one in before if one["run"] and one["outcome"] not in GOES_ON}
    newest: dict[str, Row] = {}
    for run in latest_first(runs):
        if not run.by_clock or run.state in {"SCHEDULED", "PENDING"}:
            continue
        night = str(runs.night_of(run))
        found = row(night, expected_outcome(runs, run), link)
        if run.state == "RUNNING":
            found = ended.get(found["run"], found)
        if night not in newest or weight(found["outcome"]) > weight(newest[night]["outcome"]):
            newest[night] = found
    return bounded([*before, *newest.values()])


def bounded(rows: Sequence[Row]) -> list[Row]:
    """The newest `NIGHTS_KEPT` nights, newest first; of two rows for one night, the later in the sequence."""
    by_night = {row["night"]: row for row in rows}
    return [by_night[night] for night in sorted(by_night, reverse=True)][:NIGHTS_KEPT]


def row(night: date | str, outcome: NightOutcome, link: Link) -> Row:
    """What the table says of a night, in Markdown."""
    values = (str(night), outcome.word, plain(outcome.why), link(outcome.run) if outcome.run else "")
    return dict(zip(COLUMNS, values, strict=True))
