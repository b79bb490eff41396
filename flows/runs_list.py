"""What the list of runs shows of a run: its name and tags, once they are known.

A deployment's form knows neither commit nor model, so Prefect's templates name a run until then.
"""

from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext

from flows.report import best_effort
from flows.run import Run


def show(run: Run, name: str | None, *tags: str) -> None:
    """Name this flow run (None: leave its name), and add the tags; a server that takes neither is logged."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not isinstance(context.client, SyncPrefectClient):
        return
    identity = context.flow_run.id
    with best_effort(f"The run's name, {name!r}," if name else "A tag of the run", run.say):
        kept = context.client.read_flow_run(identity).tags  # others may have tagged it meanwhile
        context.client.update_flow_run(identity, name=name, tags=[*kept, *(t for t in tags if t not in kept)])
