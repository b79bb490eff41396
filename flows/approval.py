"""A person's word before a release: Prefect's form in the UI, filled in while the run is paused."""

from dataclasses import dataclass

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field

POLL = 2
"""Seconds between two looks whether somebody has answered."""


class Approval(RunInput):
    """The form."""

    approve: bool = Field(False, description="Release it?")
    name: str = Field(description="Who decides: Prefect does not know.")
    comment: str = Field("", description="Why, for whoever reads it later.")


@dataclass(frozen=True)
class Answer:
    """What came of asking: `by` and `comment` as the person gave them; `timed_out` where nobody answered."""

    approved: bool
    by: str = ""
    comment: str = ""
    timed_out: bool = False

    def __str__(self) -> str:
        if self.timed_out:
            return "nobody answered in time"
        said = f": {self.comment}" if self.comment else ""
        return f"{'approved' if self.approved else 'refused'} by {self.by}{said}"


def ask(environment: str, change: str, timeout: int) -> Answer:
    """Pause the run until a person answers, for at most `timeout` seconds; holds no lock meanwhile."""
    form = Approval.with_initial_data(description=change)
    try:
        given = pause_flow_run(
            wait_for_input=form, timeout=timeout, poll_interval=POLL, key=f"approve-{environment}"
        )
    except FlowPauseTimeout:
        return Answer(False, timed_out=True)
    return Answer(given.approve, given.name, given.comment)
