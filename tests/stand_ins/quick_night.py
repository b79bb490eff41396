"""A nightly release that takes no time: it says what it would have released, in place of releasing."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.core.errors import ReleaseUndone
from flows.procedures.nightly import once_a_night
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state


@flow(name="quick-night")
@returns_failed_state
def quick_night(fails: bool = False) -> State[None]:
    """Release nothing, or fail to."""

    def release() -> State[None]:
        if fails:
            raise ReleaseUndone("Release 7 was undone.")
        return Completed(message="staging runs abc.")

    def recover() -> None:
        run.say("nothing was left")

    with run_context("quick-night", Rows()) as run:
        return once_a_night(run, release, recover)
