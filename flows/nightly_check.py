"""Nightly check: whether the night came to something, asked when it should have; if not, somebody is told."""

from datetime import UTC, datetime

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from flows.core.errors import NightlyMissing, SettingsError
from flows.core.night import Nights
from flows.core.night_outcome import Outcome, Standing, judge, row
from flows.failures import failures_told
from flows.flow_run import reported_run, this_run, was_scheduled
from flows.nightly import known_runs, nightly_run, publish_table
from flows.report import link

MISSING = "slipway.nightly.missing"
"""The event: its payload says what, why, whose `move`, and has a link."""


@flow(name="nightly-check", flow_run_name="nightly check")
@failures_told
def nightly_check(deployment: str = "release/nightly") -> State[None]:
    """Tell how the night went; fail, and emit an event, where it has come to nothing.

    Args:
        deployment: the nightly release, as flow/deployment.
    """
    with reported_run("nightly-check") as (run, facts):
        nights = run.settings.nights
        moment, newer = asked_for(nights)
        if newer is not None:
            return Completed(name="Skipped", message=f"The check of {nights.time(newer)} takes its place.")
        found = deployment_named(deployment)
        known = known_runs(found.id, nights)
        standing = Standing(is_paused(found), found.created or known.now)
        outcome = judge(known, standing, moment)
        night = nights.date(nights.last_due(moment))
        facts |= {"night": night, "outcome": outcome, "run": link(outcome.run) if outcome.run else "none"}
        publish_table(run, known, *(() if outcome.run else (row(night, outcome, link),)))
        if not outcome.settled:
            happened = f"The night of {night} has no outcome by {nights.time(known.now)}: {outcome}."
            announce(outcome, happened, deployment, str(night))
            raise NightlyMissing(happened, f"The move is with {outcome.move}.")
        return Completed(message=f"The night of {night}: {outcome}.")


def asked_for(nights: Nights) -> tuple[datetime, datetime | None]:
    """The time that the check is about, and when a newer one was due, if this one comes too late."""
    this = this_run()
    if this is None or not was_scheduled() or this.deployment_id is None:
        return datetime.now(UTC), None
    own = nightly_run(this)
    newer = known_runs(this.deployment_id, nights).newer_than(own)
    return own.due, newer.due if newer else None


def deployment_named(name: str) -> DeploymentResponse:
    """The deployment; `SettingsError` where there is none of that name."""
    try:
        with get_client(sync_client=True) as client:
            return client.read_deployment_by_name(name)
    except ObjectNotFound:
        raise SettingsError(
            f"The server has no deployment {name}.", "Register it: make run, or prefect deploy --all"
        ) from None


def is_paused(deployment: DeploymentResponse) -> bool:
    """Whether nothing starts it by the clock."""
    return deployment.paused or not any(schedule.active for schedule in deployment.schedules)


def announce(outcome: Outcome, happened: str, deployment: str, night: str) -> None:
    """Tell Prefect's event feed, for an automation to tell people."""
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
