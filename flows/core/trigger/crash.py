"""Whether a crashed run is restarted, and otherwise who acts next."""

from dataclasses import dataclass
from datetime import timedelta

from flows.core.trigger.attempts import MAX_ATTEMPTS, UNAVAILABLE
from flows.core.trigger.run_labels import TRIGGERED, was_restarted

OPERATIONS = "Operations"

OUTAGE = timedelta(minutes=10)
"""How long after an outage a run is restarted: an earlier one would meet the same outage."""

HEARTBEAT = 30
"""Seconds between two heartbeats, as prefect.yaml sets for every run: the least that Prefect accepts."""


@dataclass(frozen=True)
class Ended:
    """A run that may have crashed; `states` are the types of all its states, in order.

    `attempt` is the number of a trigger's attempt, from 1. `name` is that of the last state.
    """

    deployment: str | None
    tags: frozenset[str]
    states: tuple[str, ...]
    attempt: int = 1
    name: str = ""

    @property
    def crashed(self) -> bool:
        """Whether its last state is a crash."""
        return bool(self.states) and self.states[-1] == "CRASHED"


@dataclass(frozen=True)
class Restart:
    """It is restarted, after `later`; `move` says who does what next."""

    move: str
    later: timedelta = timedelta()


@dataclass(frozen=True)
class Leave:
    """It is not restarted, for this reason; `move` says who does what next."""

    reason: str
    move: str


def is_lost(state: str, name: str) -> bool:
    """Whether a run without heartbeats has lost its process, by its state's type and name.

    A run that waits for an approval in its process goes on with its heartbeats. A suspended run owes none,
    but its last one may arrive after it was suspended.
    """
    return state in {"RUNNING", "CANCELLING"} or (state == "PAUSED" and name != "Suspended")


def decide(run: Ended) -> Restart | Leave:
    """Restart once. The poller restarts its own runs, whose attempts it counts."""
    if not run.crashed:
        return Leave("it has not crashed, or it was handled already", "None: nothing to do.")
    if "CANCELLING" in run.states:
        return Leave("it was being cancelled", "None: it was being cancelled.")
    if run.deployment is None:
        return Leave("it has no deployment", "The person who started it: it has no deployment.")
    if was_restarted(run.tags):
        return _give_up("it was the second try already")
    if TRIGGERED not in run.tags and run.name == UNAVAILABLE:
        minutes = OUTAGE // timedelta(minutes=1)
        move = f"{OPERATIONS}: check the system that is named. It is restarted once, in {minutes} minutes."
        return Restart(move, OUTAGE)
    if TRIGGERED not in run.tags:
        return Restart("None: it is restarted automatically.")
    if run.attempt >= MAX_ATTEMPTS:
        return _give_up(f"it was the last of {MAX_ATTEMPTS} tries")
    reason = "the poller restarts it if it is still wanted"
    return Leave(reason, f"None: {reason}.")


def _give_up(reason: str) -> Leave:
    return Leave(reason, f"{OPERATIONS}: {reason}. Correct what its page shows, and start it by hand.")
