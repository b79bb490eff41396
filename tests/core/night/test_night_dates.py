"""One night a date: against the dates that Prefect's server computes, both changes of clock included."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from prefect.server.schemas.schedules import CronSchedule

from flows.core.night.schedule import Nights

YEAR = timedelta(days=366)
NOW = datetime(2026, 11, 24, 15, 0, 17, tzinfo=UTC)
NIGHTLY = "0 2 * * *"

zones = pytest.mark.parametrize(
    ("zone", "cron"),
    [
        ("Europe/Berlin", NIGHTLY),  # 02:00 is left out in March, and comes twice in October
        ("Europe/Berlin", "30 2 * * *"),
        ("Europe/London", "0 1 * * *"),
        ("America/New_York", NIGHTLY),
        ("America/New_York", "30 1 * * *"),
        ("America/Havana", NIGHTLY),  # changes at midnight
        ("Asia/Beirut", "30 23 * * *"),
        ("Africa/Casablanca", NIGHTLY),  # changes for Ramadan
        ("Australia/Lord_Howe", NIGHTLY),  # changes by half an hour
        ("UTC", NIGHTLY),
    ],
)


@cache  # to check a zone's name takes longer than to compute its dates
def schedule(cron: str, zone: str) -> CronSchedule:
    return CronSchedule(cron=cron, timezone=zone)


def computed(cron: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """As the server's scheduler does it."""
    asked = schedule(cron, zone)._get_dates_generator  # what the scheduler itself calls
    dates = asked(n=400, start=start, end=end)
    return [datetime.fromtimestamp(due.timestamp(), UTC) for due in dates]


def changes(zone: str) -> list[datetime]:
    """The hours of the year ahead after which the clock is another one."""
    hours = [NOW + timedelta(hours=hour) for hour in range(YEAR.days * 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hours[i] for i in range(len(hours) - 1) if offsets[i] != offsets[i + 1]]


@zones
def test_every_date_of_the_year_ahead_has_exactly_one_night(zone: str, cron: str) -> None:
    nights = Nights(cron, ZoneInfo(zone), timedelta(hours=4))
    due = computed(cron, zone, NOW, NOW + YEAR)
    dates = [nights.date(one) for one in due]
    assert dates == [dates[0] + timedelta(days) for days in range(len(dates))]
    assert len(dates) >= YEAR.days - 1
    assert [nights.last_due(one) for one in due] == due
    assert [nights.last_due(one - timedelta(seconds=1)) for one in due[1:]] == due[:-1]


@zones
def test_a_scheduler_that_is_asked_around_a_change_of_clock_makes_no_second_run(zone: str, cron: str) -> None:
    nights = Nights(cron, ZoneInfo(zone), timedelta(hours=4))
    for change in changes(zone):
        starts = [change + timedelta(minutes=20 * step) for step in range(-24, 24)]
        due = {one for start in starts for one in computed(cron, zone, start, start + timedelta(days=2))}
        dates = sorted(nights.date(one) for one in due)
        assert dates == [dates[0] + timedelta(days) for days in range(len(dates))]


def test_midnight_would_have_two_runs_on_one_date_where_the_clock_changes_then() -> None:
    """Which is why slipway.toml may not say so."""
    zone = ZoneInfo("America/Havana")
    dates = [one.astimezone(zone).date() for one in computed("0 0 * * *", zone.key, NOW, NOW + YEAR)]
    assert len(dates) - len(set(dates)) == 1
