"""The exact test and the interval, against values that were computed elsewhere."""

import pytest

from flows.core.duel.statistics import interval, mcnemar, needed_examples


@pytest.mark.parametrize(
    ("lost", "won", "expected"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 0.0625),
        (6, 0, 0.03125),
        (0, 6, 0.03125),
        (9, 9, 1.0),
        (18, 10, 0.184933),  # scipy.stats.binomtest(10, 28).pvalue
        (20, 5, 0.004077),  # scipy.stats.binomtest(5, 25).pvalue
        (5000, 4000, 0.0),
    ],
)
def test_the_exact_two_sided_probability(lost: int, won: int, expected: float) -> None:
    assert mcnemar(lost, won) == pytest.approx(expected, abs=1e-6)


def test_nothing_lost_and_nothing_won_is_no_certainty() -> None:
    none = interval(0, 0, 500)
    assert none.low == pytest.approx(-0.0039, abs=1e-4)
    assert none.high == -none.low


def test_the_interval_of_a_measured_difference() -> None:
    found = interval(18, 10, 1000)
    assert (found.low, found.high) == pytest.approx((-0.0185, 0.0025), abs=1e-4)


def test_the_interval_is_mirrored_where_the_sides_change_places() -> None:
    there, back = interval(18, 10, 1000), interval(10, 18, 1000)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize(
    ("lost", "won", "examples", "margin", "expected"),
    [
        (2, 2, 200, 0.05, 100),
        (2, 2, 200, 0.02, 486),
        (5, 5, 500, 0.02, 430),
        (5, 5, 500, 0.01, 1720),
        (0, 0, 500, 0.02, 100),
        (0, 0, 100, 0.01, 770),
    ],
)
def test_a_smaller_margin_and_more_disagreement_need_more_examples(
    lost: int, won: int, examples: int, margin: float, expected: int
) -> None:
    assert needed_examples(lost, won, examples, margin) == expected
