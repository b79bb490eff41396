"""Whether a crashed run is restarted, and otherwise who acts next."""

from dataclasses import dataclass

from flows.core.trigger.run_labels import TRIGGERED, was_restarted
from flows.core.trigger.trigger import MAX_ATTEMPTS

OPERATIONS = "Operations"

HEARTBEAT = 30
"""Seconds between two signs of life, which prefect.yaml asks every run for: the least that Prefect takes."""


@dataclass(frozen=True)
class Ended:
    """A run that may have crashed; `states` are the types of all that it went through, in order.

    `attempt` is which of a trigger's tries it was, counted from 1.
    """

    deployment: str | None
    tags: frozenset[str]
    states: tuple[str, ...]
    attempt: int = 1

    @property
    def crashed(self) -> bool:
        """Whether that is how it stands."""
        return bool(self.states) and self.states[-1] == "CRASHED"


@dataclass(frozen=True)
class Restart:
    """It is restarted; `move` says who acts next."""

    move: str


@dataclass(frozen=True)
class Leave:
    """It is left as it ended, for this reason; `move` says who acts next."""

    reason: str
    move: str


def is_lost(state: str, name: str) -> bool:
    """Whether a run that is silent has lost its process, by its state's type and name.

    One that waits for an answer in its process goes on with its signs of life. A suspended one owes none,
    though its last may come after it was suspended.
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
    if TRIGGERED not in run.tags:
        return Restart("None: it is restarted automatically.")
    if run.attempt >= MAX_ATTEMPTS:
        return _give_up(f"it was the last of {MAX_ATTEMPTS} tries")
    reason = "the poller restarts it if it is still wanted"
    return Leave(reason, f"None: {reason}.")


def _give_up(reason: str) -> Leave:
    return Leave(reason, f"{OPERATIONS}: {reason}. Correct what its page shows, and start it by hand.")
