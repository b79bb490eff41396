"""A run whose process is gone becomes Crashed, and is restarted exactly once."""

import time
from uuid import UUID

import psutil
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event

from deployments.local import supervision
from deployments.local.instance import Instance
from deployments.local.prefect.server import WORKER
from flows.core.trigger.run_labels import RESTARTED
from flows.restart_crashed import restart_crashed
from tests.automations.conftest import PATIENCE, Operations
from tests.support.waiting import wait_until

pytestmark = pytest.mark.exclusive

LOST_AFTER = 30
"""Seconds: more than a server on busy cores is behind with the signs of life that it was sent."""

HEARTBEAT = 3
"""Seconds between two signs of life here."""


@pytest.mark.slow
def test_a_run_killed_with_its_worker_crashes_and_is_restarted_once_and_no_other_is(
    operations: Operations, instance: Instance
) -> None:
    operations.ensure(lost_after=LOST_AFTER)
    run = operations.start("ci/tiny", ("commit:4f2c9e1", "mine"), seconds=600)
    wait_until(lambda: operations.state_of(run) == "RUNNING", "It does not begin")
    suspended, alive = (operations.planned("release/tiny") for _ in range(2))
    for other in (suspended, alive):
        operations.put(other, "RUNNING", "as if a worker had it")
        show_life(operations, other)
    operations.put(suspended, "PAUSED", "until a person answers", name="Suspended")
    show_life(operations, suspended)  # its process goes on for a while
    worker = next(p for p in supervision.states(instance) if p.name == WORKER)
    for process in [psutil.Process(worker.pid), *processes_of(run.id)]:
        process.kill()
    await_crash(operations, run, alive)
    wait_until(lambda: bool(others(operations, run)), "It is not restarted")
    [second] = others(operations, run)
    assert set(second.tags) == {"mine", RESTARTED}
    assert second.parameters == {"seconds": 600}
    restart_crashed(run.id)
    assert [found.id for found in others(operations, run)] == [second.id]
    spared = f"{suspended.name} is Suspended and owes no heartbeat."
    wait_until(
        lambda: spared in operations.messages("mark-lost/on-demand"),
        "No run of mark-lost has looked at it",
    )
    assert operations.state_of(suspended) == "PAUSED"
    operations.put(second, "CANCELLING", "a test has seen enough of it")


def await_crash(operations: Operations, run: FlowRun, alive: FlowRun) -> None:
    """Return once the run has crashed, and the other, which shows all the while that it lives, has not."""
    deadline = time.monotonic() + LOST_AFTER + PATIENCE
    while operations.state_of(run) != "CRASHED":
        assert time.monotonic() < deadline, "It does not crash"
        show_life(operations, alive)
        time.sleep(HEARTBEAT)
    assert operations.state_of(alive) == "RUNNING"
    operations.put(alive, "COMPLETED", "well")


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
