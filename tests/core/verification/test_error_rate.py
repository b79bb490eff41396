"""5xx before and after a release, simulated: what is no worse stays, what is worse is found soon."""

import math
from random import Random

import pytest

from flows.core.verification.error_rate import (
    FALSE_ALARM,
    FLOOR,
    PRIOR,
    REPEATED,
    WORSE,
    Answers,
    Evidence,
    Outgoing,
)

SOAK = 30
"""Seconds, with a look at each."""
HOUR, DAY = 3600, 86400


def events(random: Random, expected: float) -> int:
    """A Poisson number of that mean."""
    if expected > 50:
        return max(0, round(random.gauss(expected, math.sqrt(expected))))
    count, product, limit = 0, random.random(), math.exp(-expected)
    while product > limit:
        count, product = count + 1, product * random.random()
    return count


def answered(random: Random, per_second: float, rate: float, burst: int, seconds: int = 1) -> Answers:
    """So many seconds of an app that answers that share with 5xx, `burst` of them at a time."""
    requests = events(random, per_second * seconds)
    return Answers(requests, min(requests, burst * events(random, requests * rate / burst)))


def undone_after(
    random: Random, per_second: float, rate: float, burst: int, before: Answers, seconds: int = SOAK
) -> int | None:
    """Seconds until the release is undone; None where it stays."""
    evidence = Evidence(Outgoing(before).tolerated)
    for second in range(1, seconds + 1):
        evidence.look(answered(random, per_second, rate, burst))
        if evidence.is_worse:
            return second
    return None


def false_undo(
    per_second: float, rate: float, burst: int, known: int, runs: int, seconds: int = SOAK
) -> float:
    """The share of releases that are undone though they are as good as what was `known` for so long."""
    random = Random(f"{per_second} {rate} {burst} {known}")
    undone = 0
    for _ in range(runs):
        before = answered(random, per_second, rate, burst, known)
        undone += undone_after(random, per_second, rate, burst, before, seconds) is not None
    return undone / runs


@pytest.mark.parametrize("known", [0, 600, DAY])
@pytest.mark.parametrize("burst", [1, 20])
@pytest.mark.parametrize("rate", [0.0005, 0.02])
def test_an_app_that_is_as_good_as_before_is_not_undone(rate: float, burst: int, known: int) -> None:
    assert false_undo(100, rate, burst, known, runs=100) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("known", [0, 60, 600, HOUR, DAY])
@pytest.mark.parametrize("burst", [1, 5, 20])
@pytest.mark.parametrize("per_second", [20, 50, 100, 200])
@pytest.mark.parametrize("rate", [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02])
def test_at_most_one_of_100_such_apps_is_undone(
    rate: float, per_second: float, burst: int, known: int
) -> None:
    assert false_undo(per_second, rate, burst, known, runs=1000) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("burst", [1, 5, 20])
def test_neither_are_they_in_a_soak_of_an_hour(burst: int) -> None:
    assert false_undo(100, 0.01, burst, DAY, runs=200, seconds=HOUR) <= 0.01


@pytest.mark.parametrize(("per_second", "within"), [(20, 30), (50, 15), (100, 6), (200, 6)])
def test_an_app_that_fails_5_instead_of_a_tenth_percent_is_undone_within_seconds(
    per_second: float, within: int
) -> None:
    random = Random(per_second)
    found = [
        undone_after(random, per_second, 0.05, 1, answered(random, per_second, 0.001, 1, HOUR))
        for _ in range(100)
    ]
    assert len([seconds for seconds in found if seconds is not None and seconds <= within]) >= 95


def test_one_client_that_repeats_its_request_each_second_undoes_nothing() -> None:
    evidence = Evidence(Outgoing(Answers(1_000_000, 1000)).tolerated)
    for second in range(SOAK):
        evidence.look(Answers(20, int(5 <= second < 5 + REPEATED - 1)))
        assert not evidence.is_worse


def test_an_app_that_answers_nothing_right_is_undone_by_a_few_looks_at_any_traffic() -> None:
    evidence = Evidence(Outgoing(Answers(10_000, 10)).tolerated)
    looks = [Answers(1, 1)] * 4
    for look in looks[:-1]:
        evidence.look(look)
        assert not evidence.is_worse
    evidence.look(looks[-1])
    assert evidence.is_worse


def test_no_single_look_is_enough_however_many_errors_it_has() -> None:
    evidence = Evidence(FLOOR)
    evidence.look(Answers(10_000, 10_000))
    assert not evidence.is_worse


def test_a_look_without_requests_says_nothing() -> None:
    with_pauses, without = Evidence(FLOOR), Evidence(FLOOR)
    for _ in range(4):
        with_pauses.look(Answers())
        with_pauses.look(Answers(10, 1))
        without.look(Answers(10, 1))
    assert with_pauses == without


@pytest.mark.parametrize(
    ("before", "tolerated"),
    [
        (Answers(), PRIOR),
        (Answers(10, 0), PRIOR),  # too little to know better
        (Answers(1_000_000, 0), FLOOR),
        (Answers(1_000_000, 10_000), WORSE * 0.01),
        (Answers(1000, 300), WORSE * 0.3),
        (Answers(10, 10), 1.0),
    ],
)
def test_what_is_tolerated_follows_from_what_was_live_before(before: Answers, tolerated: float) -> None:
    assert Outgoing(before).tolerated == pytest.approx(tolerated)


def test_what_few_requests_say_is_taken_with_its_uncertainty() -> None:
    assert Outgoing(Answers(100_000, 0)).tolerated < Outgoing(Answers(10_000, 0)).tolerated < PRIOR


def test_where_what_all_releases_need_is_down_the_rate_of_late_counts() -> None:
    down = Outgoing(Answers(1_000_000, 1000), Answers(500, 100))
    assert down.tolerated == WORSE * 0.2
    assert str(down) == "the release before 0.1 % of 1000000, lately 20 % of 500"
    evidence = Evidence(down.tolerated)
    for _ in range(SOAK):
        evidence.look(Answers(100, 25))
    assert not evidence.is_worse


def test_a_few_errors_of_late_change_nothing() -> None:
    assert Outgoing(Answers(1_000_000, 100), Answers(20, REPEATED - 1)).tolerated == FLOOR


def test_a_counter_that_shows_less_began_again() -> None:
    assert Answers(110, 12).since(Answers(100, 10)) == Answers(10, 2)
    assert Answers(5, 1).since(Answers(100, 10)) == Answers(5, 1)


def test_a_false_alarm_is_rarer_than_one_of_a_hundred() -> None:
    assert FALSE_ALARM < 0.01
