"""The doctor: a look, from the worker's machine, at everything that a run will need."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.checks.doctor import look_with
from flows.core.doctor.finding import explained, summary, worst
from flows.core.errors import NotInOrder
from flows.runtime import artifacts
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state


@flow(name="doctor", flow_run_name="check all systems")
@returns_failed_state
def doctor() -> State[None]:
    """Check settings, credentials, rights, clusters and Prefect from the worker's machine; change nothing."""
    report = Rows()
    with run_context("doctor", report) as run:
        found = look_with(run)
        artifacts.publish_findings(run, found)
        report["found"] = summary(found)
        if worst(found) == "failed":
            raise NotInOrder(summary(found), details="\n".join(explained(found)))
        for line in explained(found):
            run.say(line)
    return Completed(message=summary(found))
