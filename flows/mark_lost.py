"""Mark a run as crashed when its heartbeats have stopped, unless it owes none."""

from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import Cancelled, Completed, Crashed

from flows.core.trigger.crash import is_lost


@flow(name="mark-lost", flow_run_name="mark lost: {name}")
def mark_lost(run: UUID, seconds: float, name: str = "") -> State[None]:
    """Mark a run as crashed that sent no heartbeat for `seconds`, if it should have had a process.

    Args:
        run: its id.
        seconds: the time without a heartbeat.
        name: its name, for the list of runs.
    """
    with get_client(sync_client=True) as client:
        silent = client.read_flow_run(run)
        state = silent.state
        if state is None or not is_lost(state.type.value, state.name or ""):
            current = state.name if state else "without a state"
            return Completed(name="Skipped", message=f"{silent.name} is {current} and owes no heartbeat.")
        return give_up(client, silent, seconds)


def give_up(client: SyncPrefectClient, silent: FlowRun, seconds: float) -> State[None]:
    """Mark the run as crashed, or as cancelled if a person cancelled it; the state of this run.

    The server refuses to mark a run that is over, so a run that has ended since it was read is unchanged.
    """
    why = f"No sign of life for {seconds:.0f} s: its process or its machine is gone."
    is_cancelling = silent.state_type == StateType.CANCELLING
    state: State[None] = Cancelled(message=why) if is_cancelling else Crashed(message=why)
    answer = client.set_flow_run_state(silent.id, state)
    if answer.status != SetStateStatus.ACCEPT:
        return Completed(name="Skipped", message=f"{silent.name} has ended by itself meanwhile.")
    return Completed(message=f"{silent.name} has {'ended' if is_cancelling else 'crashed'}: {why}")
