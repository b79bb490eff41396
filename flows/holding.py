"""Hold and resume: whether an environment takes releases by itself."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import tasks
from flows.flow_run import asked_by, reported_run
from flows.releasing import turn


@flow(name="hold", flow_run_name="{environment}: hold")
def hold(environment: str, reason: str, by: str = "") -> State[None]:
    """Keep what is live: the nightly release skips the environment, and says why.

    Args:
        environment: one of those in slipway.toml.
        reason: why; the nightly release will tell it.
        by: who asks, as Prefect does not know.
    """
    with reported_run("hold") as (run, facts):
        facts |= {"environment": environment, "reason": reason, "asked by": asked_by(by)}
        with turn(run, environment, run.settings.environment(environment).lock_wait) as here:
            tasks.hold(run, here, asked_by(by), reason)
        return Completed(message=f"{environment} is held: {reason}.")


@flow(name="resume", flow_run_name="{environment}: resume")
def resume(environment: str, reason: str = "", by: str = "") -> State[None]:
    """Lift a hold: the next nightly release takes the environment along again.

    Args:
        environment: one of those in slipway.toml.
        reason: why, for whoever reads it later.
        by: who asks, as Prefect does not know.
    """
    with reported_run("resume") as (run, facts):
        facts |= {"environment": environment, "reason": reason, "asked by": asked_by(by)}
        with turn(run, environment, run.settings.environment(environment).lock_wait) as here:
            lifted = tasks.lift_hold(run, here, f"{asked_by(by)}: {reason or 'resume'}")
        message = f"{environment} is no longer held." if lifted else f"{environment} was not held."
        return Completed(message=message)
