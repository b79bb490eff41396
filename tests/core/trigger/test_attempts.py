"""What becomes of a commit whose run ended without a verdict on it."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.core.trigger.attempts import (
    LONGEST_PAUSE,
    MAX_ATTEMPTS,
    MAX_WAITS,
    NOT_THERE_YET,
    UNAVAILABLE,
    Tries,
    attempt_of,
    pause,
)

ENDED = datetime(2026, 11, 24, 10, tzinfo=UTC)
LATER = ENDED + timedelta(days=1)


def after(*ends: str, state: str = "CRASHED", minutes: float = 1440) -> Tries | None:
    """The tries after runs with those states' names, the last of which ended so many minutes ago."""
    tries: Tries | None = Tries()
    for name in ends:
        assert tries is not None
        tries = tries.after(state, name, ENDED, ENDED + timedelta(minutes=minutes))
    return tries


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "RUNNING", "SCHEDULED"])
def test_a_run_that_gave_its_verdict_or_may_yet_has_no_successor(state: str) -> None:
    assert after("Whatever", state=state) is None


def test_a_crash_takes_one_of_three_attempts() -> None:
    assert after("Crashed") == Tries(crashed=1)
    assert after("Crashed", "Stopped") == Tries(crashed=2)
    assert after(*["Crashed"] * MAX_ATTEMPTS) is None


def test_a_commit_that_arrives_late_takes_no_attempt() -> None:
    assert after(*[NOT_THERE_YET] * 5) == Tries(early=5)
    assert after(*[NOT_THERE_YET] * 5, "Crashed", "Crashed") == Tries(crashed=2, early=5)
    assert after(NOT_THERE_YET, minutes=0) == Tries(early=1)  # it may be announced again, and be there


def test_a_system_that_is_away_takes_no_attempt() -> None:
    assert after(*[UNAVAILABLE] * 5, "Crashed") == Tries(crashed=1, away=5)


def test_after_an_outage_each_pause_is_twice_the_one_before_up_to_an_hour() -> None:
    assert [pause(number) / timedelta(minutes=1) for number in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(1000) == LONGEST_PAUSE


@pytest.mark.parametrize(
    ("away", "minutes", "due"), [(0, 0.9, False), (0, 1, True), (3, 7, False), (3, 8, True)]
)
def test_a_run_is_due_once_the_pause_is_over(away: int, minutes: float, due: bool) -> None:
    now = ENDED + timedelta(minutes=minutes)
    found = Tries(away=away).after("CRASHED", UNAVAILABLE, ENDED, now)
    assert found == (Tries(away=away + 1) if due else None)


def test_after_two_days_of_outage_the_commit_is_left_to_people() -> None:
    assert sum((pause(number) for number in range(MAX_WAITS)), timedelta()) > timedelta(days=1.5)
    assert Tries(away=MAX_WAITS).after("CRASHED", UNAVAILABLE, ENDED, LATER) is None
    assert Tries(early=MAX_WAITS).after("CRASHED", NOT_THERE_YET, ENDED, LATER) is None


def test_the_number_of_each_try_is_its_own_and_names_the_attempt() -> None:
    tries = [Tries(crashed, waits) for crashed in range(3) for waits in range(4)]
    assert len({one.number for one in tries}) == len(tries)
    assert [attempt_of(f"r:main:abc:{one.number}") for one in tries] == [one.crashed + 1 for one in tries]
    assert Tries().number == "1"  # as the keys of versions before, which servers have
    assert attempt_of("again:4f2c9e1") == 1
