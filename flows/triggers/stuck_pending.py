"""Gives up the runs that a worker took and did not begin, because it, or the server, ended in that moment.

Nothing else would: no worker takes them again, and what never ran has no heartbeat that could stop.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flows.services.prefect.api import FlowRuns
from flows.services.process.command import Say

Clock = Callable[[], float]


@dataclass
class PendingReaper:
    """Those of one work pool; `say` takes which are given up.

    How long they have waited is counted here, and not from what the server says of the time: so a clock that
    jumps gives no run up. A run that was taken while the poller was down is given up later.
    """

    say: Say
    clock: Clock = time.monotonic
    _since: dict[str, float] = field(default_factory=dict)

    def give_up(self, runs: FlowRuns, deployment: str, patience: float) -> None:
        """End the runs in the deployment's pool that were taken that many seconds ago and have not begun.

        One that was being cancelled is cancelled, any other has crashed.
        """
        now, taken = self.clock(), runs.taken(deployment)
        self._since = {run.id: self._since.get(run.id, now) for run in taken}
        for run in taken:
            if now - self._since[run.id] <= patience:
                continue
            if run.state == "CANCELLING":
                runs.end_cancelled(run)
                self.say(f"Cancelled before a process began it: {runs.link(run.id)}")
            else:
                runs.crash(run, f"A worker took it, and no process has begun it in {patience:.0f} s.")
                self.say(f"Given up, as no process has begun it: {runs.link(run.id)}")
