"""Runs of releases as tests interrupt them, and what is seen of them."""

import psutil

from flows.recover import recover
from flows.services.prefect.client import FlowRun
from tests.flows.conftest import Ended, Line
from tests.flows.environments import Place
from tests.support.waiting import wait_until

STAGING = Place("staging")


def recovered(line: Line) -> Ended:
    return Ended(line.platform, recover(environment="staging", return_state=True))


def wait_for_rollout(run: FlowRun) -> None:
    wait_until(lambda: STAGING.is_rolling_out(run.id), f"{run.name} rolls nothing out")


def processes_of(run: FlowRun) -> list[psutil.Process]:
    """The run's own process, by what it keeps open in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            variables = process.environ()
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if variables.get("PREFECT__FLOW_RUN_ID") == run.id and "prefect" in " ".join(process.cmdline()):
            found.append(process)
    return found


def digest_that_answers() -> str:
    capsule = STAGING.version()["capsule"]
    return next(record.image.digest for record in STAGING.history() if record.content.capsule == capsule)
