"""Restart a run that crashed, once, and emit an event about it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event
from prefect.states import Completed, Scheduled
from prefect.utilities.urls import url_for

from flows.core.trigger.attempts import attempt_of
from flows.core.trigger.crash import Ended, Leave, Restart, decide
from flows.core.trigger.run_labels import RESTARTED, given_tags, restart_key

CRASHED = "slipway.run.crashed"
"""Name of the event; its payload has `what`, `why`, `move` (who does what next) and `link`."""


@flow(name="restart-crashed", flow_run_name="restart: {name}")
def restart_crashed(run: UUID, name: str = "") -> State[None]:
    """Start the same deployment with the parameters of a run that crashed, unless that was a second try.

    Prefect makes one run of several requests, because they have one idempotency key.

    Args:
        run: the id of the run that crashed.
        name: its name, for the list of runs.
    """
    with get_client(sync_client=True) as client:
        crashed = client.read_flow_run(run)
        found = ended(client, crashed)
        decision = decide(found)
        if isinstance(decision, Restart):
            link = url_for(start(client, crashed, decision.later))
    if found.crashed:
        announce(crashed, decision.move)
    if isinstance(decision, Leave):
        return Completed(name="Skipped", message=f"{crashed.name} is not restarted: {decision.reason}.")
    return Completed(message=f"{crashed.name} crashed and was restarted: {link}")


def ended(client: SyncPrefectClient, run: FlowRun) -> Ended:
    """What the decision needs to know about the run."""
    states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    deployment = str(run.deployment_id) if run.deployment_id else None
    types = tuple(state.type.value for state in states)
    attempt = attempt_of(run.idempotency_key or "")
    return Ended(deployment, frozenset(run.tags), types, attempt, run.state_name or "")


def announce(crashed: FlowRun, move: str) -> None:
    """Emit the event that the run crashed; `move` says who does what next."""
    emit_event(
        CRASHED,
        resource={"prefect.resource.id": f"slipway.run.{crashed.id}", "prefect.resource.name": crashed.name},
        payload={
            "what": f"{crashed.state_name}: {crashed.name}",
            "why": (crashed.state.message if crashed.state else None) or "nothing is known of why",
            "move": move,
            "link": url_for(crashed),
        },
    )


def start(client: SyncPrefectClient, crashed: FlowRun, later: timedelta) -> FlowRun:
    """The new run, `later` from now: with the parameters, the queue and the given tags of the crashed one."""
    assert crashed.deployment_id is not None, "a run of no deployment is left alone"
    return client.create_flow_run_from_deployment(
        crashed.deployment_id,
        parameters=crashed.parameters,
        tags=[*given_tags(crashed.tags), RESTARTED],
        idempotency_key=restart_key(str(crashed.id)),
        work_queue_name=crashed.work_queue_name,
        state=Scheduled(scheduled_time=datetime.now(UTC) + later),
    )
