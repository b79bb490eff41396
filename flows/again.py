"""Again: a run that crashed is started anew, once."""

from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed
from prefect.utilities.urls import url_for

from flows.core.again import Ended, Leave, decide
from flows.core.run_names import AGAIN, given_tags, key_of_again


@flow(name="again", flow_run_name="again: {name}")
def again(run: UUID, name: str = "") -> State[None]:
    """Start the same deployment with the parameters of a run that crashed, unless that was a second try.

    Prefect makes one run of it, however often this is asked.

    Args:
        run: the id of the run that crashed.
        name: what it is called, for whoever reads the list of runs.
    """
    with get_client(sync_client=True) as client:
        crashed = client.read_flow_run(run)
        decision = decide(ended(client, crashed))
        if isinstance(decision, Leave):
            return Completed(
                name="Skipped", message=f"{crashed.name} is not started anew: {decision.reason}."
            )
        link = url_for(start(client, crashed))
    return Completed(message=f"{crashed.name} crashed, and is started anew: {link}")


def ended(client: SyncPrefectClient, run: FlowRun) -> Ended:
    """What the decision is made on."""
    states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    deployment = str(run.deployment_id) if run.deployment_id else None
    return Ended(deployment, frozenset(run.tags), tuple(state.type.value for state in states))


def start(client: SyncPrefectClient, crashed: FlowRun) -> FlowRun:
    """The new run: what the old one was asked, where it was asked it, and with the tags it was given."""
    assert crashed.deployment_id is not None, "a run of no deployment is left alone"
    return client.create_flow_run_from_deployment(
        crashed.deployment_id,
        parameters=crashed.parameters,
        tags=[*given_tags(crashed.tags), AGAIN],
        idempotency_key=key_of_again(str(crashed.id)),
        work_queue_name=crashed.work_queue_name,
        job_variables=crashed.job_variables,
    )
