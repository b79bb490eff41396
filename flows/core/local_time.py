"""Times as people read them: in a time zone, to the minute. Values keep instants, whatever their offset."""

from datetime import datetime, tzinfo


def wall_time(moment: datetime, zone: tzinfo | None) -> str:
    """The date and time there; None: on this machine."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
