"""Hold and resume: whether the nightly release releases to an environment."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.core.trigger.run_labels import environment_tag
from flows.procedures.deploy import environment_lock
from flows.runtime import tasks
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import asked_by, run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show
from flows.stages.context import RunContext


@flow(name="hold", flow_run_name="{environment}: hold")
@returns_failed_state
def hold(environment: str, reason: str, by: str = "") -> State[None]:
    """Keep what is live: the nightly release skips the environment, and shows the reason.

    Args:
        environment: one of those in slipway.toml.
        reason: why; the nightly release shows it.
        by: who asks, as Prefect does not know.
    """
    report = Rows()
    with run_context("hold", report) as run:
        report |= {"environment": environment, "reason": reason, "asked by": asked_by(by)}
        with environment_lock(run, environment, run.settings.environment(environment).lock_wait) as lock:
            name_run(run, environment, "hold")
            tasks.hold(run, lock, asked_by(by), reason)
        return Completed(message=f"{environment} is held: {reason}.")


@flow(name="resume", flow_run_name="{environment}: resume")
@returns_failed_state
def resume(environment: str, reason: str = "", by: str = "") -> State[None]:
    """Lift a hold: the next nightly release includes the environment again.

    Args:
        environment: one of those in slipway.toml.
        reason: why; others will read it.
        by: who asks, as Prefect does not know.
    """
    report = Rows()
    with run_context("resume", report) as run:
        report |= {"environment": environment, "reason": reason, "asked by": asked_by(by)}
        with environment_lock(run, environment, run.settings.environment(environment).lock_wait) as lock:
            name_run(run, environment, "resume")
            lifted = tasks.lift_hold(run, lock, f"{asked_by(by)}: {reason or 'resume'}")
        message = f"{environment} is no longer held." if lifted else f"{environment} was not held."
        return Completed(message=message)


def name_run(run: RunContext, environment: str, what: str) -> None:
    """Name and tag the run: the environment, and what is live there."""
    live = tasks.find_deployed(run, environment)
    show(run, f"{environment}: {what}" + (f" {live.content}" if live else ""), environment_tag(environment))
