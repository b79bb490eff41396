"""Flow runs as operators start them: through the server, followed line by line to their end."""

import time
from collections.abc import Sequence
from typing import Any

from deployments.local.progress import Say
from deployments.prefect.api import LogLine, PrefectApi
from flows.core.errors import SlipwayError
from flows.services.prefect import log
from flows.services.prefect.client import FlowRun

POLL_INTERVAL = 0.5
PICK_UP_TIMEOUT = 90
"""Seconds within which a worker takes a run; it looks every second, and starts within ten."""

LAST_WORDS_TIMEOUT = 5
"""Seconds after a run's end in which its last lines still arrive: they are sent in batches."""


class RunFailed(SlipwayError):
    """A flow run of `make run` did not complete."""

    advice = "Read the run's page."


def run(api: PrefectApi, deployment: str, parameters: dict[str, Any], say: Say) -> FlowRun:
    """The run, completed; `RunFailed` gives its reason and where to read more."""
    started = api.start(deployment, parameters)
    ended = follow(api, started, say)
    if ended.state != "COMPLETED":
        raise RunFailed(
            f"{deployment} ended as {ended.state_name}: {ended.message}", f"Read on at {api.run_url(ended)}"
        )
    return ended


def follow(api: PrefectApi, started: FlowRun, say: Say) -> FlowRun:
    """The run when it is over, however it ended; what its stages say is passed on meanwhile."""
    shown = 0
    deadline = time.monotonic() + PICK_UP_TIMEOUT
    ended_at = None
    while True:
        current = api.flow_run(started.id)
        lines = api.log_lines(started, skip=shown)
        for line in lines:
            if log.is_of_a_stage(line.logger, line.message):
                say(line.message)
        shown += len(lines)
        if current.state in {"SCHEDULED", "PENDING"} and time.monotonic() > deadline:
            raise RunFailed(
                f"No worker has taken up {current.name} after {PICK_UP_TIMEOUT} s.",
                f"Look at the work queues at {api.ui_url}/work-pools, and run this again.",
            )
        if current.is_over:
            ended_at = ended_at or time.monotonic()
            if _said_all(lines) or time.monotonic() - ended_at > LAST_WORDS_TIMEOUT:
                return current
        time.sleep(POLL_INTERVAL)


def _said_all(lines: Sequence[LogLine]) -> bool:
    return any(log.closes(line.message, of_task=line.of_task) for line in lines)
