"""The commit that a run is about."""

from dataclasses import dataclass
from datetime import datetime

from flows.core.build.trust import Trust


@dataclass(frozen=True)
class Commit:
    """One commit of the application's repository; `sha` is the full 40 hex digits, `branch` the one it was
    found on ("" for a bare SHA or a tag). `trust` is `RELEASED` if it is on the released branch."""

    repository: str
    sha: str
    branch: str
    author: str
    time: datetime
    subject: str
    trust: Trust = Trust.BRANCH

    @property
    def short(self) -> str:
        """Seven digits: how a person names it."""
        return self.sha[:7]

    def __str__(self) -> str:
        return f"{self.short} {self.subject!r}"
