"""Times as text. Values in the code are moments; their offset does not matter."""

from datetime import UTC, datetime, tzinfo


def wall_time(moment: datetime, zone: tzinfo | None) -> str:
    """Date and time in that zone; None: in this machine's."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def rfc3339(moment: datetime, *, timespec: str = "seconds") -> str:
    """The moment in UTC, as 2026-05-04T02:00:00Z; `timespec` is that of `datetime.isoformat`."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
