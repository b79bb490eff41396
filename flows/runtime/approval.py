"""A person's approval of a release: Prefect's form in the UI, filled in while the run is paused."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.logging.loggers import LoggingAdapter
from pydantic import Field

from flows.core.errors import SlipwayError, SourceUnavailable
from flows.core.release.approval_summary import describe
from flows.core.release.record import Record
from flows.services.prefect.api import translated_prefect_errors
from flows.stages.context import RunContext
from flows.stages.resolve_image import Plan

POLL = 2
"""Seconds between two checks for an answer."""

SPARE = 3600
"""Seconds by which Prefect's own time-out of the pause is later than ours."""

NO_ANSWER = "no answer in time"


class Approval(RunInput):
    """The form."""

    approve: bool = Field(False, description="Release it?")
    name: str = Field(description="Who decides: Prefect does not know.")
    comment: str = Field("", description="Why; others will read it.")


@dataclass(frozen=True)
class Answer:
    """The answer: `by` and `comment` as the person gave them; `timed_out` if there was none."""

    approved: bool
    by: str = ""
    comment: str = ""
    timed_out: bool = False

    def __str__(self) -> str:
        if self.timed_out:
            return "approval timed out"
        said = f": {self.comment}" if self.comment else ""
        return f"{'approved' if self.approved else 'refused'} by {self.by}{said}"


def ask_if_required(run: RunContext, plan: Plan, deployed: Record | None) -> Answer | None:
    """Ask for approval, and return the answer; None if the environment takes releases without approval."""
    environment = run.settings.environment(plan.environment)
    if not environment.approval:
        return None
    commits: Sequence[str] | None
    try:
        run.repository.fetch(run.say)
        commits = (
            run.repository.between(deployed.content.commit, plan.candidate.content.commit) if deployed else []
        )
    except SourceUnavailable:
        commits = None
    change = describe(plan.request, plan.candidate, plan.manifests.objects, deployed, commits)
    run.say(f"{plan.environment} asks for approval.")
    answer = ask(plan.environment, change, environment.approval_timeout)
    run.say(f"{plan.environment}: {answer}.")
    return answer


def ask(environment: str, change: str, timeout: int) -> Answer:
    """Pause the run until a person answers, for at most `timeout` seconds; holds no lock meanwhile.

    Prefect fails a run whose pause has timed out, with its own message. Therefore a thread keeps the time,
    and answers the form with `NO_ANSWER` at its end.
    """
    announce(environment, change)
    form = Approval.with_initial_data(description=change)
    answered, run = threading.Event(), UUID(str(runtime.flow_run.id))
    clock = threading.Thread(target=_time_out, args=(run, timeout, answered, get_run_logger()), daemon=True)
    clock.start()
    try:
        given = pause_flow_run(
            wait_for_input=form, timeout=timeout + SPARE, poll_interval=POLL, key=form_key(environment)
        )
    finally:
        answered.set()
        clock.join()  # else it could answer the next environment's form
    return Answer(given.approve, given.name, given.comment, timed_out=given.name == NO_ANSWER)


def form_key(environment: str) -> str:
    """The key of this attempt's form: Prefect keeps the forms of a run's earlier attempts."""
    return f"approve-{environment}-{runtime.flow_run.run_count}"


def announce(environment: str, change: str) -> None:
    """Emit the event that a person must answer; `why` is the text of the form."""
    run = runtime.flow_run
    emit_event(
        "slipway.approval.wanted",
        resource={"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name},
        payload={"what": f"{run.name}, for {environment}", "why": change},
    )


def _time_out(run: UUID, timeout: int, answered: threading.Event, log: LoggingAdapter) -> None:
    """Answer the form with `NO_ANSWER` after `timeout` seconds, and try until the run has the answer."""
    pause = timeout
    while not answered.wait(pause):
        pause = POLL
        try:
            with translated_prefect_errors(), get_client(sync_client=True) as client:
                client.resume_flow_run(run, run_input={"approve": False, "name": NO_ANSWER})
        except SlipwayError as error:
            log.warning("The approval has timed out, and the run could not be resumed: %s", error)
