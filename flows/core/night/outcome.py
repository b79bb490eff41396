"""The outcome of a night, as the morning check reports it."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from flows.core.night.schedule import NIGHTLY_RELEASE, NightlyRun, NightlyRuns, SkipNight
from flows.core.trigger.attempts import UNAVAILABLE

PREFECT_SAYS = r"^Flow run encountered an exception: \w+: "
"""What Prefect puts before an error's own message."""

LATE = timedelta(minutes=1)
"""More than a check needs to begin. A later check was held up, and the night's run probably too."""

START_BY_HAND = f"start {NIGHTLY_RELEASE} by hand if it is not to wait for the next night"


@dataclass(frozen=True)
class NightOutcome:
    """How a night went: a word, the reason, and who does what next; `settled` if no notification is due.

    `run` is the id of the run that the outcome is about, None if there is none.
    """

    word: str
    why: str
    move: str = ""
    settled: bool = True
    run: str | None = None

    def __str__(self) -> str:
        return f"{self.word}: {self.why.rstrip('.')}" if self.why else self.word


@dataclass(frozen=True)
class NightlyDeployment:
    """What the server says of the nightly deployment: whether it is paused, and when it was registered."""

    paused: bool
    since: datetime


def outcome_of(run: NightlyRun) -> NightOutcome:
    """What a run's state says."""
    why = re.sub(PREFECT_SAYS, "", run.message)
    match run.state:
        case "COMPLETED":
            words = {"Completed": "released", "Skipped": "skipped"}
            return NightOutcome(words.get(run.state_name, "not approved"), why, run=run.id)
        case "PAUSED":
            return NightOutcome("waiting for approval", "the form is on the run's page", run=run.id)
        case "FAILED":
            return _open(run, "failed", why, f"ops: read why on the run's page, and {START_BY_HAND}")
        case "CRASHED" if run.state_name == UNAVAILABLE:
            return _open(run, "unavailable", why, f"ops: check the system that is named, and {START_BY_HAND}")
        case "CRASHED":
            return _open(run, "crashed", why, f"ops: {START_BY_HAND}")
        case "CANCELLED" | "CANCELLING":
            return _open(run, "cancelled", why, f"the person who cancelled it: {START_BY_HAND}")
        case "RUNNING":
            return _open(run, "still running", "it has not ended yet", "ops: see on its page where it stands")
        case _:
            why = "no worker has taken it up, or its work queue is full"
            return _open(run, "not begun", why, "ops: look at worker and queues at Work Pools")


def judge(runs: NightlyRuns, deployed: NightlyDeployment, moment: datetime) -> NightOutcome:
    """The outcome of the last night that was due before `moment`; a run by hand since then counts too.

    A run that is about to skip itself is reported as skipped: after a downtime, the check may come before
    its end.
    """
    nights = runs.nights
    due = nights.last_due(moment)
    found = [run for run in latest_first(runs) if _belongs(runs, run, due)]
    if found:
        outcomes = [(run, expected_outcome(runs, run)) for run in found]
        return max(outcomes, key=lambda one: weight(one[1].word, one[0].by_clock))[1]
    if deployed.paused:
        return NightOutcome("skipped", "the schedule of the nightly release is paused")
    if deployed.since > due:
        return NightOutcome(
            "skipped", f"the nightly release was registered only at {nights.time(deployed.since)}"
        )
    return NightOutcome(
        "no run",
        f"the scheduler made none for {nights.time(due)}: the server was down, or the schedule changed",
        f"ops: check that the schedule of {NIGHTLY_RELEASE} is active, and {START_BY_HAND}",
        settled=False,
    )


def look_again(runs: NightlyRuns, outcome: NightOutcome, moment: datetime) -> datetime | None:
    """When the check that was due at `moment` is to be repeated; None: what it found counts.

    After a downtime, a check begins together with the run that catches up, or before a crashed run is
    restarted. That run gets as much time as the schedule leaves between a night and its check.
    """
    run = next((one for one in runs.runs if one.id == outcome.run), None)
    if run is None or runs.now - moment < LATE:
        return None
    if outcome.word in {"not begun", "still running"}:
        began = runs.began(run)
    elif run.state_name in {"Crashed", UNAVAILABLE} and not run.again:
        began = runs.now
    else:
        return None
    due = runs.nights.last_due(moment)
    until = began + (moment - due)
    return None if runs.nights.is_too_late(due, began) or until <= runs.now else until


def _open(run: NightlyRun, word: str, why: str, move: str) -> NightOutcome:
    return NightOutcome(word, why, move, settled=False, run=run.id)


def latest_first(runs: NightlyRuns) -> list[NightlyRun]:
    """Runs that were due, or began before they were due, as after the clock was put back; latest first."""
    begun = [run for run in runs.runs if run.due <= runs.now or run.started is not None]
    return sorted(begun, key=lambda run: run.due, reverse=True)


def _belongs(runs: NightlyRuns, run: NightlyRun, due: datetime) -> bool:
    """Whether the run is of the night that was due then, or a person started it since."""
    return runs.night_of(run) == runs.nights.date(due) if run.by_clock else run.due >= due


def expected_outcome(runs: NightlyRuns, run: NightlyRun) -> NightOutcome:
    """The outcome that a run's state says; `skipped` for a run that is about to skip itself."""
    if run.by_clock and run.state in {"SCHEDULED", "PENDING", "RUNNING"}:
        decision = runs.decide(run)
        if isinstance(decision, SkipNight):
            return NightOutcome("skipped", decision.reason, run=run.id)
    return outcome_of(run)


def weight(word: str, by_clock: bool = True) -> int:
    """How much the outcome counts among several of one night; the highest is the night's.

    A result (released, failed, waiting for approval) counts most; then the night's own run that has not
    ended; then a skip, because a run that hangs may be why another skipped. A crash, an outage or a cancel
    counts least, as does a person's run before its end.
    """
    if word in {"still running", "not begun"}:
        return 2 if by_clock else 0
    if word in {"crashed", "unavailable", "cancelled"}:
        return 0
    return 1 if word == "skipped" else 3
