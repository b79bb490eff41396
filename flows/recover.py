"""Recover: what a run left in the middle is finished or undone, and proven."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.flow_run import reported_run
from flows.releasing import reconcile, turn


@flow(name="recover", flow_run_name="{environment}: recover")
def recover(environment: str) -> State[None]:
    """Close the record of a release whose run was cancelled, or ended in the middle.

    Args:
        environment: one of those in slipway.toml.
    """
    with reported_run("recover") as (run, facts):
        wait = run.settings.environment(environment).lock_wait
        with turn(run, environment, wait) as here:
            outcome = (
                reconcile(run, here, is_wanted=lambda _: True)
                or f"Nothing was left in the middle in {environment}."
            )
        facts |= {"environment": environment, "outcome": outcome}
        return Completed(message=outcome)
