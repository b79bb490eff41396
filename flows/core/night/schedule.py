"""One release a night: which run of the nightly deployment it is, whatever was down, late or crashed.

A night is a local date in the project's time zone: that on which the run was due. All here judges by what
does not change any more (when runs were due, and when they began, by the server's clock), so that of runs
which decide at the same moment exactly one releases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from flows.core.local_time import wall_time

NIGHTLY_RELEASE = "release/nightly"
"""The deployment whose runs by the clock are nights."""

LONGEST_GAP = timedelta(hours=3)
"""More than any change of clock has ever left out."""

YEAR = 366


@dataclass(frozen=True)
class NightlyRun:
    """A run of the nightly deployment; `state` is the state's type, as COMPLETED, `state_name` its name.

    `by_clock` is False for a run that a person started. `again` is True for one that replaces a crashed run,
    and was due when the crash was noticed. `started` is None until the run begins; retries do not change it.
    """

    id: str
    due: datetime
    started: datetime | None = None
    state: str = "SCHEDULED"
    state_name: str = "Scheduled"
    message: str = ""
    by_clock: bool = True
    again: bool = False

    @property
    def took_its_night(self) -> bool:
        """Whether no other run is to release that night, also because this one failed or was cancelled."""
        skipped = self.state == "COMPLETED" and self.state_name == "Skipped"
        return self.started is not None and self.state != "CRASHED" and not skipped


@dataclass(frozen=True)
class Nights:
    """When nights are due: `cron` in `zone`. One that was missed is caught up with within `catch_up`."""

    cron: str
    zone: ZoneInfo
    catch_up: timedelta

    def date(self, moment: datetime) -> date:
        """The local date."""
        return moment.astimezone(self.zone).date()

    def time(self, moment: datetime) -> str:
        """The local time, for people."""
        return wall_time(moment, self.zone)

    def is_too_late(self, due: datetime, began: datetime) -> bool:
        """Whether a run that `began` then is too late to catch up with the night that was `due`."""
        return began - due >= self.catch_up

    def last_due(self, moment: datetime) -> datetime:
        """When the last night before that moment, or at it, was due."""
        beyond = moment.astimezone(self.zone).replace(tzinfo=None) + LONGEST_GAP
        for wall in CronSim(self.cron, beyond, reverse=True):
            if (due := instant(wall, self.zone)) <= moment:
                return due
        raise AssertionError("a valid cron expression has been due before")


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a run of that local time in the cron expression is due, as Prefect's server reads it.

    Where the clock is put back, it is the first of the two times. Where it is put forward over that time, the
    run is due earlier, by as much as is left out.
    """
    return min(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def date_without_night(cron: str, zone: ZoneInfo, today: date) -> date | None:
    """A date in the year ahead whose run would be due on the date before, which would have two; or None.

    This happens where clocks are put forward at midnight, over the time at which the night is due.
    """
    for days in range(YEAR):
        midnight = datetime.combine(today + timedelta(days), datetime.min.time())
        if instant(midnight, zone).astimezone(zone).date() == midnight.date():
            continue
        wall = next(CronSim(cron, midnight - timedelta(seconds=1)))
        if instant(wall, zone).astimezone(zone).date() != wall.date():
            return wall.date()
    return None


@dataclass(frozen=True)
class Go:
    """This run releases, for the night that was due then."""

    due: datetime


@dataclass(frozen=True)
class SkipNight:
    """This run releases nothing, for this reason."""

    reason: str


@dataclass(frozen=True)
class NightlyRuns:
    """The runs of the nightly deployment that the server knew `now`."""

    runs: Sequence[NightlyRun]
    nights: Nights
    now: datetime

    def decide(self, own: NightlyRun) -> Go | SkipNight:
        """Whether a run that the clock started releases.

        Of several that are late, the newest does: workers take the oldest first.
        """
        nights = self.nights
        if (newer := self.newer_than(own)) is not None:
            return SkipNight(f"the run due at {nights.time(newer.due)} takes its place")
        due = self.stands_for(own)
        if (other := self._taken(own, nights.date(due))) is not None:
            ended = f"{other.state_name}: {other.message}".rstrip(": .")
            return SkipNight(
                f"the night of {nights.date(due)} had its run at {nights.time(other.due)} ({ended})"
            )
        if nights.is_too_late(due, began := self.began(own)):
            return SkipNight(
                f"it was due at {nights.time(due)}, {_hours(began - due)} ago, and a night is caught up with "
                f"for less than {_hours(nights.catch_up)}"
            )
        return Go(due)

    def began(self, run: NightlyRun) -> datetime:
        """When the run began; now for one that has not begun."""
        return run.started or self.now

    def newer_than(self, own: NightlyRun) -> NightlyRun | None:
        """The newest of the runs by the clock that were due after this one when this one began."""
        began = self.began(own)
        due = [run for run in self.runs if run.by_clock and _order(run) > _order(own) and run.due <= began]
        return max(due, key=_order, default=None)

    def stands_for(self, run: NightlyRun) -> datetime:
        """When the night was due that this run covers.

        Prefect makes runs for a few days ahead. After a longer downtime, the newest of them covers the last
        night that was missed. A restarted run covers the night of the run that crashed.
        """
        due = run.due
        if run.again:
            replaced = [r.due for r in self.runs if r.by_clock and not r.again and r.due <= run.due]
            due = max(replaced, default=due)
        began = self.began(run)
        if not self.nights.is_too_late(due, began) or self.newer_than(run) is not None:
            return due
        return max(due, self.nights.last_due(began))

    def night_of(self, run: NightlyRun) -> date:
        """The night that a run by the clock belongs to."""
        return self.nights.date(self.stands_for(run))

    def _taken(self, own: NightlyRun, night: date) -> NightlyRun | None:
        """The run that had that night before this one was due."""
        for run in self.runs:
            is_other = run.by_clock and run.id != own.id and run.took_its_night
            if is_other and self.began(run) < own.due and self.night_of(run) == night:
                return run
        return None


def _order(run: NightlyRun) -> tuple[datetime, str]:
    return run.due, run.id


def _hours(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
