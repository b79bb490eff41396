"""Whether and when a commit is built again after its run ended without a result.

A run that crashed took one of `MAX_ATTEMPTS`. A run that found a system away, or came before its commit, took
none: the outage says nothing about the commit.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

MAX_ATTEMPTS = 3
"""Number of runs for the same commit and model that may crash; after that, a person has to act."""

MAX_WAITS = 48
"""Number of runs for the same commit and model that may find a system away: about two days, with the longest
pause between them."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
"""Until the next run after an outage; each pause is twice the one before."""

NOT_THERE_YET = "NotThereYet"
"""The state of a run whose commit was announced and did not arrive during its tries: the repository may lag
for longer than a run should keep a place in its queue.

Like `UNAVAILABLE`, it has the type of a crash, after which the poller starts the commit again. Its name is
not Crashed, so the automation "run crashed" does not act on it.
"""

UNAVAILABLE = "Unavailable"
"""The state of a run that ended because a system was away for longer than its tries."""


@dataclass(frozen=True)
class Tries:
    """How many runs for one commit and model ended without a result: by a crash, with a system away, or
    before the commit had arrived."""

    crashed: int = 0
    away: int = 0
    early: int = 0

    @property
    def number(self) -> str:
        """The end of the next run's key: its attempt, and after a plus the number of waits."""
        waits = self.away + self.early
        return f"{self.crashed + 1}" + (f"+{waits}" if waits else "")

    def after(self, state: str, name: str, since: datetime | None, now: datetime) -> "Tries | None":
        """The same with a further run, in that state `since` then; None where no run is due after it.

        `state` is the state's type, `name` its name.
        """
        if state != "CRASHED":
            return None
        if name not in {NOT_THERE_YET, UNAVAILABLE}:
            more = replace(self, crashed=self.crashed + 1)
            return more if more.crashed < MAX_ATTEMPTS else None
        if self.away + self.early >= MAX_WAITS:
            return None
        if name == NOT_THERE_YET:
            return replace(self, early=self.early + 1)
        is_over = since is None or now - since >= pause(self.away)
        return replace(self, away=self.away + 1) if is_over else None


def pause(away: int) -> timedelta:
    """The pause after an outage, when `away` earlier runs had met one."""
    return min(FIRST_PAUSE * (1 << min(away, 10)), LONGEST_PAUSE)


def attempt_of(key: str) -> int:
    """Which attempt the run with that key is; 1 where the key is none of a trigger's."""
    number = key.rpartition(":")[2].partition("+")[0]
    return int(number) if number.isdecimal() else 1
