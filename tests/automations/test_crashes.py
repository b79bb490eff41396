"""A run whose process is gone becomes Crashed, and is started anew exactly once."""

import time
from uuid import UUID

import psutil
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event

from deployments.local import supervision
from deployments.local.instance import Instance
from deployments.local.polling import wait_until
from deployments.local.prefect_server import WORKER
from flows.again import again
from tests.automations.conftest import PATIENCE, Operations

LEAST = 10
"""Seconds: Prefect waits no less for an event that does not come."""


def test_a_run_killed_with_its_worker_crashes_and_is_started_anew_once(
    operations: Operations, instance: Instance
) -> None:
    operations.ensure(lost_after=LEAST)
    run = operations.start("ci/tiny", ("commit:4f2c9e1",), seconds=600)
    wait_until(lambda: bool(processes_of(run.id)), PATIENCE, "No worker takes it")
    wait_until(lambda: operations.state_of(run) == "RUNNING", PATIENCE, "It does not begin")
    worker = next(p for p in supervision.states(instance) if p.name == WORKER)
    for process in [psutil.Process(worker.pid), *processes_of(run.id)]:
        process.kill()
    wait_until(lambda: operations.state_of(run) == "CRASHED", LEAST + PATIENCE, "It does not crash")
    wait_until(lambda: bool(others(operations, run)), PATIENCE, "It is not started anew")
    [second] = others(operations, run)
    assert set(second.tags) == {"commit:4f2c9e1", "again"}
    assert second.parameters == {"seconds": 600}
    again(run.id)
    assert [found.id for found in others(operations, run)] == [second.id]
    operations.put(second, "CANCELLING", "a test has seen enough of it")


def test_a_run_that_shows_signs_of_life_or_is_suspended_is_no_zombie(operations: Operations) -> None:
    operations.ensure(lost_after=LEAST)
    dead, alive, suspended = (operations.start("release/tiny") for _ in range(3))
    for run in (dead, alive, suspended):
        operations.put(run, "RUNNING", "as if a worker had it")
        show_life(operations, run)
    operations.put(suspended, "PAUSED", "until somebody answers", name="Suspended")
    deadline = time.monotonic() + LEAST + PATIENCE
    while operations.state_of(dead) != "CRASHED" and time.monotonic() < deadline:
        show_life(operations, alive)
        time.sleep(2)
    assert [operations.state_of(run) for run in (dead, alive, suspended)] == ["CRASHED", "RUNNING", "PAUSED"]


def show_life(operations: Operations, run: FlowRun) -> None:
    """What a flow's process sends every 30 s."""
    emit_event(
        "prefect.flow-run.heartbeat",
        {"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name},
        related=[
            {
                "prefect.resource.id": f"prefect.deployment.{run.deployment_id}",
                "prefect.resource.role": "deployment",
            }
        ],
    )


def others(operations: Operations, run: FlowRun) -> list[FlowRun]:
    """The runs of the same deployment beside that one."""
    assert run.deployment_id
    found = operations.runs(run.deployment_id)
    return [other for other in found if other.id != run.id]


def processes_of(run: UUID) -> list[psutil.Process]:
    """Those that carry the run's id in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PREFECT__FLOW_RUN_ID") == str(run):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
