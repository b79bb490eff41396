"""What the list of runs shows of a run: its name and tags once they are known, and why it failed.

A deployment's form knows neither commit nor model, so Prefect's templates name a run until then.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Failed

from flows.core.errors import SlipwayError
from flows.report import best_effort
from flows.run import Run

P = ParamSpec("P")


def show(run: Run, name: str | None, *tags: str) -> None:
    """Name this flow run (None: leave its name), and add the tags; a server that takes neither is logged."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not isinstance(context.client, SyncPrefectClient):
        return
    identity = context.flow_run.id
    with best_effort(f"The run's name, {name!r}," if name else "A tag of the run", run.say):
        kept = context.client.read_flow_run(identity).tags  # others may have tagged it meanwhile
        context.client.update_flow_run(identity, name=name, tags=[*kept, *(t for t in tags if t not in kept)])


def failures_told(body: Callable[P, State[None]]) -> Callable[P, State[Any]]:
    """The flow, whose `Failed` state says what the error says and nothing else.

    Prefect would put "Flow run encountered an exception" and the error's type before it.
    """

    @wraps(body)
    def flow(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return body(*args, **kwargs)
        except SlipwayError as error:
            get_run_logger().error(f"{type(error).__name__}: {error}")  # it explains itself
            return Failed(message=" ".join(str(error).split()), data=error)

    return flow
