"""Silence: a run that shows no sign of life any more has crashed, unless it owes none."""

from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed, Crashed

from flows.core.again import is_lost


@flow(name="silence", flow_run_name="silent: {name}")
def silence(run: UUID, seconds: float, name: str = "") -> State[None]:
    """Mark a run as crashed that was silent for so long, if it should have had a process all the while.

    Args:
        run: its id.
        seconds: how long nothing was heard of it.
        name: what it is called, for whoever reads the list of runs.
    """
    with get_client(sync_client=True) as client:
        silent = client.read_flow_run(run)
        state = silent.state
        if state is None or not is_lost(state.type.value, state.name or ""):
            told = state.name if state else "without a state"
            return Completed(name="Skipped", message=f"{silent.name} is {told}, and owes no sign of life.")
        why = f"No sign of life for {seconds:.0f} s: its process or its machine is gone."
        client.set_flow_run_state(silent.id, Crashed(message=why), force=True)
    return Completed(message=f"{silent.name} has crashed: {why}")
