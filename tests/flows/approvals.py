"""A release that waits for a person, and the answer of the person."""

from typing import Any

from flows.services.prefect.client import FlowRun
from tests.flows.conftest import Line
from tests.support.prefect_client import asking
from tests.support.waiting import wait_until


def paused(line: Line, **parameters: Any) -> FlowRun:
    """A run of release with those parameters, once it waits for a person's word."""
    run = line.start("release/on-demand", image="latest", by="Ada", reason="title", **parameters)
    await_pause(line, run)
    return run


def await_pause(line: Line, run: FlowRun) -> None:
    """Return once the run waits for a person's word."""
    wait_until(lambda: line.platform.api.flow_run(run.id).state == "PAUSED", "the run does not pause")


def answer(line: Line, run: FlowRun, **form: object) -> FlowRun:
    """The run when it is over, with what the form in the UI sends."""
    with asking(line.platform.api) as client:
        client.post(f"/flow_runs/{run.id}/resume", json={"run_input": form}).raise_for_status()
    return line.platform.wait(run)
