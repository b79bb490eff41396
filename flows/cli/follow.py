"""A flow run from its start to its end: its log as it comes, then its outcome and its exit status."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from flows.cli.output import print_json, run_json, say
from flows.cli.server import LogLine, Run, Server
from flows.core.errors import PrefectUnavailable
from flows.core.explain.blockers import ENDED_UNAPPROVED
from flows.services.prefect import log

DONE, FAILED, INTERRUPTED = 0, 1, 130

INTERVAL = 0.5
"""Seconds between two looks at a run."""

PICK_UP = 90
"""Seconds after which a run is said to wait for a worker; one starts a run within ten."""

PATIENCE = 120
"""Seconds for which a server that went away is asked again: the run goes on meanwhile."""

OVERLAP = timedelta(seconds=30)
"""How much later than its successors a line of a log may arrive."""

LOG_LAG = 5
"""Seconds for which a log may still grow after its run has ended: lines are sent in batches."""


def run_to_its_end(deployment: str, parameters: Mapping[str, object], *, as_json: bool) -> int:
    """Start flow/deployment, follow it, and say how it ended; the exit status."""
    with Server() as server:
        run = server.start(deployment, parameters)
        say(f"Run {run.short}: {run.link}")
        return follow_to_its_end(server, run, as_json=as_json)


def follow_to_its_end(server: Server, run: Run, *, as_json: bool) -> int:
    """Follow a run, and say how it ended; the exit status, 130 after Ctrl-C."""
    try:
        ended = follow(server, run, say if as_json else _print)
    except KeyboardInterrupt:
        _leave_or_cancel(server, run)
        return INTERRUPTED
    status = exit_status(ended)
    if as_json:
        print_json({"run": run_json(ended), "exit_status": status})
    else:
        _print(outcome(ended))
    return status


def follow(server: Server, run: Run, show: Callable[[str], None]) -> Run:
    """The run when it is over, however it ended; what its stages say is shown meanwhile.

    `PrefectUnavailable` where the server is away for longer than `PATIENCE`.
    """
    new, waiting = _NewLines(server, run), _Waiting(server, run)
    over_since: float | None = None
    while True:
        with waiting.for_the_server():
            current = server.run(run.id)
            lines = new.lines()
            for line in filter(is_of_a_stage, lines):
                show(line_text(line))
            waiting.look_at(current)
            if current.is_over:
                over_since = over_since or time.monotonic()
                if _said_all(lines) or (not lines and time.monotonic() - over_since > LOG_LAG):
                    return current
        time.sleep(INTERVAL)


class _NewLines:
    """A run's log, of which each line is given once, though lines of several processes come out of order."""

    def __init__(self, server: Server, run: Run) -> None:
        self._server, self._run = server, run
        self._given: set[str] = set()
        self._newest: datetime | None = None

    def lines(self) -> list[LogLine]:
        """Those that were not given yet."""
        since = self._newest - OVERLAP if self._newest else None
        lines = [line for line in self._server.lines(self._run, since) if line.id not in self._given]
        self._given |= {line.id for line in lines}
        times = [line.time for line in lines]
        self._newest = max([*times, self._newest] if self._newest else times, default=None)
        return lines


class _Waiting:
    """Says once what a run, or the one who follows it, waits for."""

    def __init__(self, server: Server, run: Run) -> None:
        self._server, self._run = server, run
        self._began = time.monotonic()
        self._away_since: float | None = None
        self._said: set[str] = set()

    @contextmanager
    def for_the_server(self) -> Iterator[None]:
        """Ignore that the server is away, for `PATIENCE` seconds."""
        try:
            yield
            self._away_since = None
        except PrefectUnavailable as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since > PATIENCE:
                raise
            self._once(f"{error.happened} The run goes on; asking again for {PATIENCE} s.")

    def look_at(self, run: Run) -> None:
        """Say what keeps the run from going on, if it is a person or a worker."""
        if run.state == "PAUSED":
            self._once(
                f"The run waits for approval. Answer with: slipway approve {run.short}, "
                f"or: slipway refuse {run.short} --reason …"
            )
        elif run.state in {"SCHEDULED", "PENDING"} and time.monotonic() - self._began > PICK_UP:
            self._once(
                f"No worker has taken up the run for {PICK_UP} s: none runs, or other runs have all places. "
                "Look at Work Pools in the Prefect UI."
            )

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            say(line)


def exit_status(run: Run) -> int:
    """0 where what was asked for is so: done, live already, or skipped with a reason."""
    return DONE if run.state == "COMPLETED" and run.state_name not in ENDED_UNAPPROVED else FAILED


def outcome(run: Run) -> str:
    """How the run ended, in a line."""
    return " ".join(f"{run.state_name}: {run.message or run.name}".split())


def is_of_a_stage(line: LogLine) -> bool:
    """Whether a stage wrote it, and not Prefect about itself."""
    return log.is_of_a_stage(line.logger, line.message)


def line_text(line: LogLine) -> str:
    """An entry of a log, with the time of this machine's zone."""
    return f"{line.time.astimezone():%H:%M:%S}  {line.message}"


def _said_all(lines: list[LogLine]) -> bool:
    return any(log.closes(line.message, of_task=line.of_task) for line in lines)


def _leave_or_cancel(server: Server, run: Run) -> None:
    """Ask whether to cancel the run. Without a terminal, it goes on, and a line says how to cancel it."""
    if _wants_it_cancelled():
        cancelled = server.cancel(run, "Cancelled from the command line.")
        say(f"Run {run.short} is {cancelled.state_name}. See its end with: slipway logs {run.short} --follow")
    else:
        say(f"The run goes on: {run.link} To cancel it: slipway cancel {run.short}")


def _wants_it_cancelled() -> bool:
    if not sys.stdin.isatty():
        return False
    try:
        return input("\nCancel the run? [y/N] ").strip().lower() in {"y", "yes"}
    except (EOFError, KeyboardInterrupt):
        return False


def _print(line: str) -> None:
    print(line, flush=True)
