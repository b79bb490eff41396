"""Restart a run that crashed, once, and emit an event about it."""

from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event
from prefect.states import Completed
from prefect.utilities.urls import url_for

from flows.core.trigger.crash import Ended, Leave, Restart, decide
from flows.core.trigger.run_labels import RESTARTED, given_tags, restart_key
from flows.core.trigger.trigger import attempt_of

CRASHED = "slipway.run.crashed"
"""Emitted when a run has crashed: what, why, who acts next, and a link, for the notification."""


@flow(name="restart-crashed", flow_run_name="restart: {name}")
def restart_crashed(run: UUID, name: str = "") -> State[None]:
    """Start the same deployment with the parameters of a run that crashed, unless that was a second try.

    Prefect makes one run of it, however often this is asked.

    Args:
        run: the id of the run that crashed.
        name: its name, for the list of runs.
    """
    with get_client(sync_client=True) as client:
        crashed = client.read_flow_run(run)
        found = ended(client, crashed)
        decision = decide(found)
        if isinstance(decision, Restart):
            link = url_for(start(client, crashed))
    if found.crashed:
        announce(crashed, decision.move)
    if isinstance(decision, Leave):
        return Completed(name="Skipped", message=f"{crashed.name} is not restarted: {decision.reason}.")
    return Completed(message=f"{crashed.name} crashed and was restarted: {link}")


def ended(client: SyncPrefectClient, run: FlowRun) -> Ended:
    """What the decision is made on."""
    states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    deployment = str(run.deployment_id) if run.deployment_id else None
    types = tuple(state.type.value for state in states)
    return Ended(deployment, frozenset(run.tags), types, attempt_of(run.idempotency_key or ""))


def announce(crashed: FlowRun, move: str) -> None:
    """Emit the event, with who acts next."""
    emit_event(
        CRASHED,
        resource={"prefect.resource.id": f"slipway.run.{crashed.id}", "prefect.resource.name": crashed.name},
        payload={
            "what": f"Crashed: {crashed.name}",
            "why": (crashed.state.message if crashed.state else None) or "nothing is known of why",
            "move": move,
            "link": url_for(crashed),
        },
    )


def start(client: SyncPrefectClient, crashed: FlowRun) -> FlowRun:
    """The new run: what the old one was asked, where it was asked it, and with the tags it was given."""
    assert crashed.deployment_id is not None, "a run of no deployment is left alone"
    return client.create_flow_run_from_deployment(
        crashed.deployment_id,
        parameters=crashed.parameters,
        tags=[*given_tags(crashed.tags), RESTARTED],
        idempotency_key=restart_key(str(crashed.id)),
        work_queue_name=crashed.work_queue_name,
    )
