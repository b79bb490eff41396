"""What the list of runs shows of a run: its name and tags once they are known, and in the name why it ended.

A deployment's form knows neither commit nor model, so Prefect's template names a run until they are known.
The list shows only the name of a state, not its message.
"""

from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from flows.core.trigger.run_labels import WHY, with_reason
from flows.runtime.artifacts import best_effort
from flows.services.process.command import Say
from flows.stages.context import RunContext


def show(run: RunContext, name: str | None, *tags: str) -> None:
    """Name this flow run (None: keep its name), and add the tags; an error of the server is logged."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not isinstance(context.client, SyncPrefectClient):
        return
    identity = context.flow_run.id
    with best_effort(f"The run's name, {name!r}," if name else "A tag of the run", run.say):
        kept = context.client.read_flow_run(identity).tags  # others may have tagged it meanwhile
        context.client.update_flow_run(identity, name=name, tags=[*kept, *(t for t in tags if t not in kept)])


def show_reason(state: State[Any], say: Say) -> None:
    """Add to this flow run's name why it ends in this state, unless it is Completed."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not isinstance(context.client, SyncPrefectClient):
        return
    reason = "" if state.name == "Completed" else state.message or ""
    if not reason and WHY not in context.flow_run.name:  # a retried run may have one from before
        return
    identity = context.flow_run.id
    with best_effort("Why it ended so", say):
        name = context.client.read_flow_run(identity).name
        context.client.update_flow_run(identity, name=with_reason(name, reason))
