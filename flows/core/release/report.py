"""What a run of release found out and did, for the page that closes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from flows.core.release.decision import Candidate


@dataclass(frozen=True)
class EnvironmentOutcome:
    """How one environment's part of a run ended, where it did not fail."""

    name: Literal["Completed", "Skipped", "Refused", "ApprovalTimedOut"]
    message: str


@dataclass
class EnvironmentReport:
    """One environment's part of a run, as far as it has come; "" and None: not known, or not applicable.

    `number` is the release's, `interrupted` says what became of a release whose run was killed. `composed_by`
    is the run of ci that composed the image for this release.
    """

    candidate: Candidate | None = None
    requested_as: str = ""
    asked_by: str = ""
    changed: str = ""
    interrupted: str = ""
    approval: str = ""
    number: int | None = None
    decision: str = ""
    proof: str = ""
    composed_by: str = ""


@dataclass
class ReleaseReport:
    """The parts of a run by environment, in the order in which they are released."""

    environments: dict[str, EnvironmentReport] = field(default_factory=dict)

    def of(self, environment: str) -> EnvironmentReport:
        """The part of that environment, which begins empty."""
        return self.environments.setdefault(environment, EnvironmentReport())

    @property
    def contents(self) -> dict[str, str]:
        """What goes to each environment, as far as that is known."""
        return {name: str(part.candidate) for name, part in self.environments.items() if part.candidate}


def most_urgent(outcomes: Sequence[EnvironmentOutcome]) -> str:
    """The name of the state that a person has to see first: a missing approval, then a release."""
    order = ("Refused", "ApprovalTimedOut", "Completed", "Skipped")
    return min((outcome.name for outcome in outcomes), key=order.index)
