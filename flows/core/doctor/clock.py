"""This machine's clock against those of the systems that answered."""

from collections.abc import Mapping
from datetime import timedelta

from flows.core.doctor.finding import Finding, not_looked_at

SUBJECT = "clock"
TRIED = "compared this machine's clock with the Date of each answer"
OFF, FAR_OFF = timedelta(seconds=60), timedelta(minutes=5)
"""From where on a difference is a warning, and a fault: Entra, GitHub and AWS allow five minutes."""


def clock(ahead: Mapping[str, timedelta]) -> Finding:
    """The row about the clock: by how much it is ahead of each system that answered, by the system's name."""
    if not ahead:
        return not_looked_at(SUBJECT, "no system answered", TRIED)
    most = max(ahead.values(), key=abs)
    if abs(most) < OFF:
        return Finding(SUBJECT, "ok", f"It agrees with {', '.join(sorted(ahead))}.", TRIED)
    wrong = [f"{_apart(by)} {name}" for name, by in sorted(ahead.items()) if abs(by) >= OFF]
    return Finding(
        SUBJECT,
        "failed" if abs(most) >= FAR_OFF else "warning",
        f"This machine's clock is {', and '.join(wrong)}.",
        TRIED,
        "Set the clock of this machine by NTP, or that of the system, if all others agree with this machine.",
    )


def _apart(by: timedelta) -> str:
    seconds = round(abs(by).total_seconds(), -1)
    length = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
    return f"{length} {'ahead of' if by > timedelta() else 'behind'}"
