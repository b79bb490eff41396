"""Recover: finish or undo the release that a run left in the middle, and verify the result."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.core.trigger.run_labels import environment_tag
from flows.procedures.deploy import environment_lock
from flows.procedures.reconcile import reconcile
from flows.runtime import artifacts, tasks
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show


@flow(name="recover", flow_run_name="{environment}: recover")
@returns_failed_state
def recover(environment: str) -> State[None]:
    """Finish or undo a release whose run was cancelled or killed, and close its record.

    Args:
        environment: one of those in slipway.toml.
    """
    report = Rows()
    with run_context("recover", report) as run:
        wait = run.settings.environment(environment).lock_wait
        with environment_lock(run, environment, wait) as lock:
            left = tasks.find_pending(run, environment)
            name = f"{environment}: recover {left.content if left else '(nothing)'}"
            show(run, name, environment_tag(environment))
            mended = reconcile(run, lock, is_wanted=lambda _: True)
            outcome = mended or f"Nothing was left in the middle in {environment}."
            artifacts.update_history_page(run, environment)
        report |= {"environment": environment, "outcome": outcome}
        return Completed(message=outcome)
