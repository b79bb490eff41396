"""Whether a run that crashed is started anew."""

from dataclasses import dataclass

from flows.core.run_names import AGAIN, TRIGGERED


@dataclass(frozen=True)
class Ended:
    """A run that may have crashed; `states` are the types of all that it went through, in order."""

    deployment: str | None
    tags: frozenset[str]
    states: tuple[str, ...]


@dataclass(frozen=True)
class Restart:
    """It is started anew."""

    reason: str


@dataclass(frozen=True)
class Leave:
    """It stays as it ended."""

    reason: str


def is_lost(state: str, name: str) -> bool:
    """Whether a run that is silent has lost its process, by its state's type and name.

    One that waits for an answer in its process goes on with its signs of life. A suspended one owes none,
    though its last may come after it was suspended.
    """
    return state in {"RUNNING", "CANCELLING"} or (state == "PAUSED" and name != "Suspended")


def decide(run: Ended) -> Restart | Leave:
    """Once. The watch starts its own anew: it counts attempts, and knows whether they are wanted still."""
    if not run.states or run.states[-1] != "CRASHED":
        return Leave("it has not crashed, or somebody has seen to it already")
    if "CANCELLING" in run.states:
        return Leave("it was being cancelled")
    if run.deployment is None:
        return Leave("it is of no deployment")
    if AGAIN in run.tags:
        return Leave("it was the second try already; a person has to look why")
    if TRIGGERED in run.tags:
        return Leave("the watch starts it anew, if it is still wanted")
    return Restart("it is the first time")
