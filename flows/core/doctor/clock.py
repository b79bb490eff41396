"""This machine's clock against those of the systems that answered."""

from collections.abc import Mapping
from datetime import timedelta

from flows.core.doctor.finding import Finding, not_checked

SUBJECT = "clock"
TRIED = "compared this machine's clock with the Date of each answer"
OFF, FAR_OFF = timedelta(seconds=60), timedelta(minutes=5)
"""The differences from which the row is a warning, and failed: GitHub refuses an App whose clock is a minute
ahead; Entra ID and AWS allow five minutes."""


def clock(offsets: Mapping[str, timedelta]) -> Finding:
    """The row about the clock; `offsets` is how far it is ahead of each system, by the system's name."""
    if not offsets:
        return not_checked(SUBJECT, "no system answered", TRIED)
    most = max(offsets.values(), key=abs)
    if abs(most) < OFF:
        return Finding(SUBJECT, "ok", f"It agrees with {', '.join(sorted(offsets))}.", TRIED)
    wrong = [f"{_apart(by)} {name}" for name, by in sorted(offsets.items()) if abs(by) >= OFF]
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
