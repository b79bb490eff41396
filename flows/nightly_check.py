"""Nightly check: whether the night has an outcome by `nightly_by`; if not, an event starts a notification."""

from dataclasses import replace
from datetime import UTC, datetime

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Scheduled

from flows.core.errors import NightlyMissing, SettingsError
from flows.core.night.outcome import NightlyDeployment, NightOutcome, judge, look_again
from flows.core.night.schedule import NIGHTLY_RELEASE, Nights
from flows.core.night.table import row
from flows.procedures.nightly import known_runs, nightly_run, publish_table
from flows.runtime.artifacts import Rows, link
from flows.runtime.flow_context import run_context, this_run
from flows.runtime.flow_errors import returns_failed_state

MISSING = "slipway.nightly.missing"
"""Name of the event; its payload has `what`, `why`, `move` (who does what next) and `link`."""


@flow(name="nightly-check", flow_run_name="nightly check")
@returns_failed_state
def nightly_check(deployment: str = NIGHTLY_RELEASE) -> State[None]:
    """Report how the night went; fail, and emit an event, if it has no outcome.

    Args:
        deployment: the nightly release, as flow/deployment.
    """
    report = Rows()
    with run_context("nightly-check", report) as run:
        nights = run.settings.nights
        moment, newer = asked_for(nights, run.settings.schedule.nightly_by)
        if newer is not None:
            return Completed(name="Skipped", message=f"The check of {nights.time(newer)} takes its place.")
        found = deployment_named(deployment)
        runs = known_runs(found.id, nights)
        outcome = judge(runs, NightlyDeployment(is_paused(found), found.created or runs.now), moment)
        night = nights.date(nights.last_due(moment))
        report |= {"night": night, "outcome": outcome, "run": link(outcome.run) if outcome.run else "none"}
        publish_table(run, runs, *(() if outcome.run else (row(night, outcome, link),)))
        if outcome.settled:
            return Completed(message=f"The night of {night}: {outcome}.")
        if (later := look_again(runs, outcome, moment)) is not None:
            check_again(later)
            text = f"The night of {night} is being caught up ({outcome}); the next check is at"
            return Completed(name="Postponed", message=f"{text} {nights.time(later)}.")
        happened = f"The night of {night} has no outcome by {nights.time(runs.now)}: {outcome}."
        announce(outcome, happened, deployment, str(night))
        raise NightlyMissing(happened, f"The move is with {outcome.move}.")


def asked_for(nights: Nights, nightly_by: str) -> tuple[datetime, datetime | None]:
    """The time that the check is about; and when a newer check was due that replaces this one, else None.

    The scheduler makes checks for a few days ahead: after a longer downtime, only the newest one counts.
    """
    this, now = this_run(), datetime.now(UTC)
    if this is None or this.deployment_id is None:
        return now, None
    own = nightly_run(this)
    newer = known_runs(this.deployment_id, nights).newer_than(own)
    return max(own.due, replace(nights, cron=nightly_by).last_due(now)), newer.due if newer else None


def check_again(later: datetime) -> None:
    """Schedule a run of the same deployment for that time; the server keeps it through a downtime."""
    this = this_run()
    assert this is not None, "a check that is late was started by Prefect"
    assert this.deployment_id is not None, "and so it is of a deployment"
    with get_client(sync_client=True) as client:
        client.create_flow_run_from_deployment(
            this.deployment_id,
            parameters=this.parameters,
            state=Scheduled(scheduled_time=later),
            idempotency_key=f"later:{this.id}",
            work_queue_name=this.work_queue_name,
        )


def deployment_named(name: str) -> DeploymentResponse:
    """The deployment; `SettingsError` where there is none of that name."""
    try:
        with get_client(sync_client=True) as client:
            return client.read_deployment_by_name(name)
    except ObjectNotFound as error:
        raise SettingsError(
            f"The server has no deployment {name}.", "Register it: make run, or prefect deploy --all"
        ) from error


def is_paused(deployment: DeploymentResponse) -> bool:
    """Whether no schedule starts it."""
    return deployment.paused or not any(schedule.active for schedule in deployment.schedules)


def announce(outcome: NightOutcome, happened: str, deployment: str, night: str) -> None:
    """Emit the event that an automation makes into a notification."""
    this = this_run()
    emit_event(
        MISSING,
        resource={"prefect.resource.id": f"slipway.nightly.{night}", "prefect.resource.name": deployment},
        payload={
            "what": happened,
            "why": outcome.why,
            "move": outcome.move,
            "link": link(outcome.run or (str(this.id) if this else "")),
        },
    )
