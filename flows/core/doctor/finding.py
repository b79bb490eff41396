"""A row of the doctor's table, and the summary of all rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]

NEXT = "Run `slipway doctor` again once the row that is named is in order."
"""The remedy of what was not checked."""


@dataclass(frozen=True)
class Finding:
    """What one check found: a row. `seen` is a sentence; `remedy` is an imperative, and "" where all is well.

    `checked` is False for what could not be checked because something else was not in order.
    """

    subject: str
    state: State
    seen: str
    tried: str = ""
    remedy: str = ""
    checked: bool = True

    @property
    def is_usable(self) -> bool:
        """Whether rows that depend on it can be checked."""
        return self.checked and self.state != "failed"


def not_checked(subject: str, because: str, tried: str = "") -> Finding:
    """The row of what was not checked: a warning, so that one fault fails one row."""
    return Finding(subject, "warning", f"Not checked, because {because}.", tried, NEXT, checked=False)


def worst(findings: Sequence[Finding]) -> State:
    """The state of all together."""
    states = {finding.state for finding in findings}
    return "failed" if "failed" in states else "warning" if "warning" in states else "ok"


def summary(findings: Sequence[Finding]) -> str:
    """All rows in a sentence, with the names of those that failed."""
    failed = [finding.subject for finding in findings if finding.state == "failed"]
    warnings = sum(finding.state == "warning" and finding.checked for finding in findings)
    unseen = sum(not finding.checked for finding in findings)
    said = f"{len(failed)} of {len(findings)} checks failed: {'; '.join(failed)}."
    counts = [f"{warnings} {'warning' if warnings == 1 else 'warnings'}"] if warnings else []
    counts += [f"{unseen} not checked"] if unseen else []
    return " ".join([said if failed else "No check failed.", *([f"{', '.join(counts)}."] if counts else [])])


def explained(findings: Sequence[Finding]) -> list[str]:
    """What to do about each row that is not ok, the failed ones first, and what was tried."""
    shown = [finding for finding in findings if finding.checked and finding.state != "ok"]
    lines: list[str] = []
    for finding in sorted(shown, key=lambda one: one.state != "failed"):
        lines.append(f"{finding.subject} ({finding.state}): {finding.remedy}")
        lines += [f"  Tried: {finding.tried}."] if finding.tried else []
    return lines
