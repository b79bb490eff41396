"""Which numbers give which verdict, and what a verdict does to `latest`."""

import pytest

from flows.core.duel.verdict import Margins, Tally, Verdict, judge, keeps_latest

MARGINS = Margins(accuracy=0.02, latency=1.15)


def tally(lost: int, won: int, examples: int) -> Tally:
    both = (examples - lost - won) // 2
    return Tally(both, lost, won, examples - lost - won - both)


TABLE = [
    # lost, won, examples, latency: verdict
    (0, 0, 500, 1.0, Verdict.NOT_WORSE),
    (18, 10, 1000, 0.76, Verdict.NOT_WORSE),
    (4, 6, 500, 1.0, Verdict.NOT_WORSE),
    (0, 12, 500, 1.0, Verdict.BETTER),
    (30, 3, 500, 1.0, Verdict.WORSE),
    (500, 0, 500, 1.0, Verdict.WORSE),
    (30, 10, 5000, 1.0, Verdict.WORSE_WITHIN_MARGIN),
    (5, 0, 100, 1.0, Verdict.TOO_FEW),
    (10, 10, 100, 1.0, Verdict.TOO_FEW),
    (1, 1, 100, 1.0, Verdict.TOO_FEW),
    (0, 0, 500, 1.16, Verdict.SLOWER),
    (0, 0, 500, 1.15, Verdict.NOT_WORSE),
    (0, 12, 500, 1.5, Verdict.SLOWER),
    (10, 10, 100, 1.5, Verdict.SLOWER),
    (30, 3, 500, 1.5, Verdict.WORSE),
    (0, 0, 500, None, Verdict.NOT_WORSE),
]


@pytest.mark.parametrize(("lost", "won", "examples", "latency", "verdict"), TABLE)
def test_the_verdict(lost: int, won: int, examples: int, latency: float | None, verdict: Verdict) -> None:
    assert judge(tally(lost, won, examples), latency, MARGINS) is verdict


def test_the_margin_decides_between_worse_and_worse_within_it() -> None:
    lost = tally(30, 3, 500)
    assert judge(lost, 1.0, Margins(0.05, 1.15)) is Verdict.WORSE
    assert judge(lost, 1.0, Margins(0.10, 1.15)) is Verdict.WORSE_WITHIN_MARGIN


def test_the_accuracy_of_both_sides() -> None:
    found = Tally(both=400, lost=30, won=10, neither=60)
    assert (found.examples, found.candidate_accuracy, found.live_accuracy) == (500, 0.82, 0.86)


@pytest.mark.parametrize(
    ("verdict", "keeping", "forced", "kept"),
    [
        (Verdict.WORSE, (Verdict.WORSE, Verdict.SLOWER), "", True),
        (Verdict.SLOWER, (Verdict.WORSE, Verdict.SLOWER), "", True),
        (Verdict.TOO_FEW, (Verdict.WORSE, Verdict.SLOWER), "", False),
        (Verdict.TOO_FEW, (Verdict.TOO_FEW,), "", True),
        (Verdict.WORSE, (Verdict.WORSE,), "the customer asked for it", False),
        (Verdict.WORSE, (), "", False),
    ],
)
def test_which_verdicts_keep_latest(
    verdict: Verdict, keeping: tuple[Verdict, ...], forced: str, kept: bool
) -> None:
    assert keeps_latest(verdict, keeping, forced) is kept
