"""Which run releases a night, and what the night came to: tables of what a server can hold."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from flows.core.night.outcome import NightlyDeployment, judge, look_again
from flows.core.night.schedule import Go, NightlyRun, NightlyRuns, Nights, SkipNight, date_without_night
from flows.core.night.table import NIGHTS_KEPT, row, table

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = Nights("0 2 * * *", BERLIN, timedelta(hours=4))
INSTALLED = datetime(2026, 1, 1, tzinfo=UTC)
ACTIVE = NightlyDeployment(paused=False, since=INSTALLED)


def at(text: str) -> datetime:
    """That local time in November 2026, as `25 02:00`."""
    day, _, time = text.partition(" ")
    return datetime.fromisoformat(f"2026-11-{day}T{time}").replace(tzinfo=BERLIN)


def a_run(due: str, began: str | None = None, state: str = "RUNNING", **more: object) -> NightlyRun:
    """One that was due then; not begun, or in that state since."""
    values: dict[str, object] = {"id": f"due {due}", "due": at(due)}
    if began:
        values |= {"started": at(began), "state": state, "state_name": state.capitalize()}
    return NightlyRun(**{**values, **more})  # type: ignore[arg-type]  # a table's columns have many types


def decided(
    own: NightlyRun, *others: NightlyRun, nights: Nights = NIGHTS, now: str = "25 12:00"
) -> Go | SkipNight:
    return NightlyRuns([own, *others], nights, at(now)).decide(own)


def reason(decision: Go | SkipNight) -> str:
    assert isinstance(decision, SkipNight)
    return decision.reason


WEDNESDAY = a_run("25 02:00", "25 02:00")
TUESDAY = a_run("24 02:00", "24 02:00", "COMPLETED")


def test_a_run_that_begins_in_time_releases() -> None:
    assert decided(WEDNESDAY, TUESDAY, a_run("26 02:00")) == Go(at("25 02:00"))


def test_a_night_that_was_missed_is_caught_up_with_for_some_hours() -> None:
    assert decided(a_run("25 02:00", "25 05:59:59"), TUESDAY) == Go(at("25 02:00"))
    assert reason(decided(a_run("25 02:00", "25 06:00"), TUESDAY)) == (
        "it was due at 2026-11-25 02:00, 4 h ago, and a night is caught up with for less than 4 h"
    )


def test_of_several_late_runs_the_newest_releases_in_whatever_order_they_begin() -> None:
    late = [a_run(f"{day} 02:00", f"25 05:00:0{second}") for second, day in enumerate((23, 24, 25))]
    decisions = [NightlyRuns(late, NIGHTS, at("25 05:01")).decide(run) for run in late]
    assert [type(decision) for decision in decisions] == [SkipNight, SkipNight, Go]
    assert reason(decisions[0]) == "the run due at 2026-11-25 02:00 takes its place"
    others = [replace(run, started=None, state="SCHEDULED") for run in late[1:]]
    assert isinstance(decided(late[0], *others), SkipNight)


def test_a_late_run_does_not_wait_for_one_that_is_not_due_yet() -> None:
    assert decided(a_run("25 02:00", "25 05:00"), a_run("26 02:00")) == Go(at("25 02:00"))


def test_after_more_days_than_there_were_runs_for_the_newest_stands_for_the_last_night() -> None:
    """The scheduler makes three ahead, and none for the time in which it is down."""
    oldest, newest = a_run("20 02:00", "25 03:00"), a_run("21 02:00", "25 03:00")
    assert decided(newest, oldest) == Go(at("25 02:00"))
    assert isinstance(decided(oldest, newest), SkipNight)
    assert isinstance(decided(replace(newest, started=at("25 08:00")), oldest), SkipNight)


def test_a_night_that_had_its_run_gets_no_second_one_when_the_schedule_is_moved() -> None:
    moved = replace(NIGHTS, cron="0 3 * * *")
    second = a_run("25 03:00", "25 03:00")
    first = replace(WEDNESDAY, state="COMPLETED", state_name="Completed", message="staging runs abc.")
    assert reason(decided(second, first, nights=moved)) == (
        "the night of 2026-11-25 had its run at 2026-11-25 02:00 (Completed: staging runs abc)"
    )
    for state in ("FAILED", "CANCELLED", "PAUSED", "RUNNING"):
        assert isinstance(decided(second, replace(first, state=state), nights=moved), SkipNight)


@pytest.mark.parametrize("nothing", [("CRASHED", "Crashed"), ("COMPLETED", "Skipped")])
def test_a_run_that_released_nothing_leaves_the_night_to_another(nothing: tuple[str, str]) -> None:
    first = replace(WEDNESDAY, state=nothing[0], state_name=nothing[1])
    moved = replace(NIGHTS, cron="0 3 * * *")
    assert decided(a_run("25 03:00", "25 03:00"), first, nights=moved) == Go(at("25 03:00"))


@pytest.mark.parametrize("second_began", ["02:59:59", "03:00", "03:00:01"])
def test_of_two_runs_for_one_night_exactly_one_releases_whenever_they_begin(second_began: str) -> None:
    first, second = a_run("25 02:00", f"25 {second_began}"), a_run("25 03:00", "25 03:00:02")
    known = NightlyRuns([first, second], replace(NIGHTS, cron="0 3 * * *"), at("25 03:01"))
    assert sorted(type(known.decide(run)).__name__ for run in (first, second)) == ["Go", "SkipNight"]


def test_two_schedules_at_the_same_time_make_one_release() -> None:
    twins = [a_run("25 02:00", "25 02:00", id=name) for name in ("a", "b")]
    known = NightlyRuns(twins, NIGHTS, at("25 02:01"))
    assert [type(known.decide(run)) for run in twins] == [SkipNight, Go]


def test_a_restarted_run_stands_for_the_night_of_the_one_that_crashed() -> None:
    crashed = replace(WEDNESDAY, state="CRASHED", state_name="Crashed")
    again = a_run("25 02:07", "25 02:07", again=True)
    assert decided(again, crashed, TUESDAY) == Go(at("25 02:00"))
    next_night = a_run("26 02:00", "26 02:00")
    ended = replace(again, state="COMPLETED", state_name="Completed")
    assert decided(next_night, ended, crashed, now="26 02:00") == Go(at("26 02:00"))


def test_a_run_restarted_after_midnight_does_not_take_the_next_night() -> None:
    nights = replace(NIGHTS, cron="30 23 * * *")
    crashed = a_run("24 23:30", "24 23:30", "CRASHED")
    again = a_run("25 00:05", "25 00:05", again=True)
    assert decided(again, crashed, nights=nights) == Go(at("24 23:30"))
    ended = replace(again, state="COMPLETED", state_name="Completed")
    assert decided(a_run("25 23:30", "25 23:30"), ended, crashed, nights=nights, now="25 23:31") == Go(
        at("25 23:30")
    )


def test_a_run_restarted_in_the_day_after_a_downtime_is_too_late() -> None:
    crashed = replace(WEDNESDAY, state="CRASHED", state_name="Crashed")
    assert "9 h ago" in reason(decided(a_run("25 11:00", "25 11:00", again=True), crashed))


def test_what_a_person_started_takes_no_night() -> None:
    by_hand = a_run("25 01:00", "25 01:00", "COMPLETED", by_clock=False)
    later = a_run("25 01:59", "25 01:59", by_clock=False)
    assert decided(WEDNESDAY, by_hand, later) == Go(at("25 02:00"))


def test_a_clock_that_jumped_forward_and_was_put_right_makes_no_second_release() -> None:
    """Its run went at 20:00 in truth; at the real 02:00 the server has none left to make."""
    early = a_run("25 02:00", "25 03:00", "COMPLETED")
    assert decided(early, TUESDAY, now="24 20:10") == Go(at("25 02:00"))
    made_again = a_run("25 02:00", "25 02:00", id="zz made again")
    assert isinstance(decided(made_again, replace(early, started=at("25 01:00"))), SkipNight)


def test_a_clock_that_went_back_leaves_the_run_that_is_due_in_its_future_alone() -> None:
    own = a_run("25 02:00", "24 22:30")
    assert decided(own, TUESDAY, now="24 22:30") == Go(at("25 02:00"))


def test_a_schedule_edited_in_the_ui_is_no_lateness() -> None:
    assert decided(a_run("25 08:00", "25 08:00"), a_run("24 08:00", "24 08:00", "COMPLETED")) == Go(
        at("25 08:00")
    )


def test_the_last_night_before_a_moment_counts_the_clock_changes_as_the_server_does() -> None:
    spring = datetime(2027, 3, 28, 1, 0, tzinfo=UTC)  # 03:00 in summer time, the first moment after the gap
    assert NIGHTS.last_due(spring) == datetime(2027, 3, 28, 0, 0, tzinfo=UTC)
    autumn = datetime(2027, 10, 31, 0, 30, tzinfo=UTC)  # 02:30 in summer time: 02:00 comes again
    assert NIGHTS.last_due(autumn) == datetime(2027, 10, 31, 0, 0, tzinfo=UTC)
    assert NIGHTS.last_due(autumn + timedelta(hours=1)) == datetime(2027, 10, 31, 0, 0, tzinfo=UTC)


def test_a_time_that_a_zone_leaves_out_at_midnight_is_found() -> None:
    today = date(2026, 11, 24)
    assert date_without_night("30 0 * * *", ZoneInfo("America/Havana"), today) == date(2027, 3, 14)
    assert date_without_night("0 2 * * *", ZoneInfo("America/Havana"), today) is None
    assert date_without_night("30 2 * * *", BERLIN, today) is None


# by morning


def outcome(
    *runs: NightlyRun, standing: NightlyDeployment = ACTIVE, when: str = "25 04:00", now: str = ""
) -> str:
    found = judge(NightlyRuns(runs, NIGHTS, at(now or when)), standing, at(when))
    return ("" if found.settled else "! ") + str(found)


@pytest.mark.parametrize(
    ("state", "name", "expected"),
    [
        ("COMPLETED", "Completed", "released: why"),
        ("COMPLETED", "Skipped", "skipped: why"),
        ("COMPLETED", "Refused", "not approved: why"),
        ("PAUSED", "Paused", "waiting for approval: the form is on the run's page"),
        ("FAILED", "Failed", "! failed: why"),
        ("CRASHED", "Crashed", "! crashed: why"),
        ("CRASHED", "Unavailable", "! unavailable: why"),
        ("CANCELLED", "Cancelled", "! cancelled: why"),
        ("RUNNING", "Running", "! still running: it has not ended yet"),
    ],
)
def test_a_night_comes_to_what_its_run_ended_as(state: str, name: str, expected: str) -> None:
    ended = replace(WEDNESDAY, state=state, state_name=name, message="why.")
    assert outcome(TUESDAY, ended, a_run("26 02:00")) == expected


def test_a_run_that_no_worker_takes_is_no_outcome() -> None:
    assert outcome(TUESDAY, a_run("25 02:00")).startswith("! not begun")


def test_a_night_without_any_run_is_no_outcome() -> None:
    assert outcome(TUESDAY).startswith("! no run: the scheduler made none for 2026-11-25 02:00")


def test_a_night_is_not_missed_while_the_schedule_is_paused_or_not_yet_there() -> None:
    assert outcome(standing=replace(ACTIVE, paused=True)).startswith("skipped: the schedule")
    assert outcome(standing=replace(ACTIVE, since=at("25 03:00"))).startswith(
        "skipped: the nightly release was"
    )


def test_a_release_by_hand_or_a_restarted_run_is_the_outcome_after_a_crash() -> None:
    crashed = replace(WEDNESDAY, state="CRASHED", state_name="Crashed")
    done = {"state_name": "Completed", "message": "staging runs abc."}
    again = a_run("25 02:07", "25 02:07", "COMPLETED", again=True, **done)
    by_hand = a_run("25 03:00", "25 03:00", "COMPLETED", by_clock=False, **done)
    assert outcome(again, crashed) == outcome(crashed, by_hand) == "released: staging runs abc"
    unavailable = replace(crashed, state_name="Unavailable")
    assert outcome(again, unavailable) == "released: staging runs abc"
    assert outcome(crashed, replace(by_hand, due=at("25 01:00"))) == "! crashed"
    assert outcome(crashed, replace(again, state="RUNNING")).startswith("! still running")


def test_a_run_that_is_about_to_skip_itself_counts_as_skipped() -> None:
    late = a_run("25 02:00")
    assert outcome(late, now="25 09:00").startswith("skipped: it was due at 2026-11-25 02:00, 7 h ago")
    assert outcome(replace(late, started=at("25 09:00")), now="25 09:00").startswith("skipped")


def test_a_late_check_reports_the_night_that_it_was_due_for() -> None:
    done = replace(WEDNESDAY, state="COMPLETED", state_name="Completed", message="staging runs abc.")
    assert outcome(done, a_run("26 02:00"), now="26 03:00") == "released: staging runs abc"


def test_a_run_that_skipped_hides_none_of_its_night_that_hangs() -> None:
    hangs = a_run("25 02:00", "25 02:00")
    by_hand = a_run("25 03:00", "25 03:00", "COMPLETED", by_clock=False, state_name="Skipped")
    assert outcome(hangs, by_hand).startswith("! still running")
    assert outcome(hangs, replace(by_hand, by_clock=True)).startswith("! still running")
    assert outcome(a_run("25 02:00"), by_hand).startswith("! not begun")


def test_what_a_person_has_just_started_hides_no_outcome() -> None:
    skipped = a_run("25 02:00", "25 02:00", "COMPLETED", state_name="Skipped", message="is live already.")
    assert outcome(skipped, a_run("25 03:59", "25 03:59", by_clock=False)) == "skipped: is live already"


# a check that comes late


def again_at(*runs: NightlyRun, now: str, when: str = "25 04:00") -> datetime | None:
    known = NightlyRuns(runs, NIGHTS, at(now))
    found = judge(known, ACTIVE, at(when))
    assert not found.settled
    return look_again(known, found, at(when))


def test_a_check_that_begins_with_the_run_that_catches_up_gives_it_the_time_of_any_night() -> None:
    assert again_at(a_run("25 02:00"), now="25 05:00") == at("25 07:00")
    assert again_at(a_run("25 02:00", "25 04:50"), now="25 05:00") == at("25 06:50")
    longer = a_run(
        "22 02:00", "25 05:00"
    )  # the newest run there was, after more days than there were runs for
    assert again_at(longer, now="25 05:00") == at("25 07:00")


def test_a_check_in_time_waits_for_nothing() -> None:
    assert again_at(a_run("25 02:00", "25 02:00"), now="25 04:00:20") is None
    assert again_at(a_run("25 02:00", "25 03:55"), now="25 04:00:20") is None
    assert again_at(a_run("25 02:00"), now="25 04:00:20") is None


def test_the_second_check_finds_a_run_that_hangs_and_waits_no_more() -> None:
    hangs = a_run("25 02:00", "25 05:00")
    assert again_at(hangs, now="25 07:00:05", when="25 07:00") is None
    assert again_at(hangs, now="25 07:30") is None


def test_a_late_check_does_not_wait_for_a_run_that_hangs_since_its_night() -> None:
    assert again_at(a_run("25 02:00", "25 02:00"), now="25 05:00") is None


def test_a_late_check_waits_for_the_run_that_stands_in_for_a_crashed_one() -> None:
    crashed = a_run("25 02:00", "25 02:00", "CRASHED")
    assert again_at(crashed, now="25 05:00") == at("25 07:00")
    assert again_at(crashed, a_run("25 05:00", "25 05:00", again=True), now="25 05:01") == at("25 07:00")
    assert again_at(crashed, a_run("25 05:00", "25 05:00", "CRASHED", again=True), now="25 05:01") is None
    assert again_at(crashed, now="25 06:00") is None
    assert again_at(replace(crashed, state_name="Unavailable"), now="25 05:00") == at("25 07:00")
    stopped = replace(crashed, state_name="Stopped")  # by a person, with the platform: nothing follows
    assert again_at(stopped, now="25 05:00") is None


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_late_check_reports_at_once_what_waits_for_a_person(state: str) -> None:
    assert again_at(a_run("25 02:00", "25 05:00", state), now="25 05:02") is None


# the table


def link(run: str) -> str:
    return f"/runs/{run}"


def test_the_table_has_a_row_per_night_newest_first() -> None:
    runs = [
        replace(TUESDAY, state_name="Completed", message="staging runs abc."),
        a_run("25 02:00", "25 02:00", "CRASHED"),
        a_run("25 02:07", "25 02:07", "FAILED", again=True, message="Release 7 was undone."),
        a_run("25 12:00", "25 12:00", "COMPLETED", by_clock=False),
        a_run("26 02:00"),
    ]
    assert table([], NightlyRuns(runs, NIGHTS, at("25 13:00")), link) == [
        {
            "night": "2026-11-25",
            "outcome": "failed",
            "why": "Release 7 was undone.",
            "run": "/runs/due 25 02:07",
        },
        {
            "night": "2026-11-24",
            "outcome": "released",
            "why": "staging runs abc.",
            "run": "/runs/due 24 02:00",
        },
    ]


def test_a_run_that_skipped_in_favour_of_another_leaves_the_row_to_it() -> None:
    runs = [
        a_run("25 02:00", "25 02:00", "COMPLETED", state_name="Completed"),
        a_run("25 03:00", "25 03:00", "COMPLETED", state_name="Skipped"),
    ]
    moved = replace(NIGHTS, cron="0 3 * * *")
    assert [one["outcome"] for one in table([], NightlyRuns(runs, moved, at("25 04:00")), link)] == [
        "released"
    ]


def test_rows_whose_runs_are_gone_stay_and_the_table_is_bounded() -> None:
    no_run = judge(NightlyRuns([], NIGHTS, at("25 04:00")), ACTIVE, at("25 04:00"))
    before = [row(date(2026, 10, 1) + timedelta(days), no_run, link) for days in range(40)]
    rows = table(before, NightlyRuns([TUESDAY], NIGHTS, at("25 04:00")), link)
    assert len(rows) == NIGHTS_KEPT
    assert [one["night"] for one in rows[:2]] == ["2026-11-24", "2026-11-09"]
    assert rows[1]["outcome"] == "no run"


def test_of_two_that_end_together_the_later_writer_keeps_the_end_of_the_other() -> None:
    older, newest = a_run("24 02:00", "25 03:00"), a_run("25 02:00", "25 03:00")
    ended = replace(older, state="COMPLETED", state_name="Skipped", message="No release.")
    first = table([], NightlyRuns([ended, newest], NIGHTS, at("25 03:01")), link)
    released = replace(newest, state="COMPLETED", state_name="Completed", message="staging runs abc.")
    second = table(first, NightlyRuns([older, released], NIGHTS, at("25 03:01")), link)
    assert [(one["outcome"], one["why"]) for one in second] == [
        ("released", "staging runs abc."),
        ("skipped", "No release."),
    ]
    unread = table([], NightlyRuns([older, released], NIGHTS, at("25 03:01")), link)
    assert [one["outcome"] for one in unread] == ["released", "skipped"]


def test_of_two_for_one_night_that_end_together_the_skip_replaces_no_release() -> None:
    skips, goes = (a_run("25 02:00", "25 02:00", id=name) for name in ("a", "b"))
    released = replace(goes, state="COMPLETED", state_name="Completed", message="staging runs abc.")
    first = table([], NightlyRuns([skips, released], NIGHTS, at("25 02:05")), link)
    skipped = replace(skips, state="COMPLETED", state_name="Skipped")
    assert table(first, NightlyRuns([skipped, goes], NIGHTS, at("25 02:05")), link) == first


def test_a_row_that_waited_for_approval_follows_its_run() -> None:
    resumed = a_run("25 02:00", "25 02:00")
    waiting = replace(resumed, state="PAUSED", state_name="Paused")
    before = table([], NightlyRuns([waiting], NIGHTS, at("25 03:00")), link)
    rows = table(before, NightlyRuns([resumed], NIGHTS, at("25 03:01")), link)
    assert [one["outcome"] for one in rows] == ["still running"]
