"""What a duel says about the candidate, and what that does to `latest`."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from flows.core.duel.statistics import SIGNIFICANT, Interval, interval, mcnemar, needed_examples


class Verdict(StrEnum):
    """The candidate, compared with what is live."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    WORSE_WITHIN_MARGIN = "worse, but within the margin"
    TOO_FEW = "too few to tell"
    SLOWER = "slower"


@dataclass(frozen=True)
class Margins:
    """How much worse a candidate may be: `accuracy` as a share (0.02 is two points), `latency` as a ratio of
    answer times."""

    accuracy: float
    latency: float


@dataclass(frozen=True)
class Tally:
    """On how many examples both were right, exactly one of them, or neither."""

    both: int
    lost: int
    won: int
    neither: int

    @property
    def examples(self) -> int:
        """How many there are."""
        return self.both + self.lost + self.won + self.neither

    @property
    def candidate_accuracy(self) -> float:
        """The share that the candidate answers right."""
        return (self.both + self.won) / self.examples

    @property
    def live_accuracy(self) -> float:
        """The share that what is live answers right."""
        return (self.both + self.lost) / self.examples

    @property
    def p_value(self) -> float:
        """How often equal models would differ at least so much."""
        return mcnemar(self.lost, self.won)

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the difference in accuracy, candidate minus live."""
        return interval(self.lost, self.won, self.examples)

    def needed(self, margin: float) -> int:
        """How many examples that margin would need."""
        return needed_examples(self.lost, self.won, self.examples, margin)


def judge(tally: Tally, latency_ratio: float | None, margins: Margins) -> Verdict:
    """The verdict. A candidate that is worse is that, whatever its answer times are.

    `latency_ratio` is the candidate's answer times to those of what is live; None: not known. It is compared
    with a margin: under other load, an interval of it is too narrow.
    """
    accuracy = accuracy_verdict(tally, margins.accuracy)
    if accuracy is not Verdict.WORSE and latency_ratio is not None and latency_ratio > margins.latency:
        return Verdict.SLOWER
    return accuracy


def accuracy_verdict(tally: Tally, margin: float) -> Verdict:
    """The verdict by the right answers alone."""
    found, low = tally.p_value < SIGNIFICANT, tally.interval.low
    if found and tally.lost > tally.won:
        return Verdict.WORSE if low < -margin else Verdict.WORSE_WITHIN_MARGIN
    if found:
        return Verdict.BETTER
    return Verdict.NOT_WORSE if low > -margin else Verdict.TOO_FEW


def keeps_latest(verdict: Verdict, keeping: Collection[Verdict], forced: str) -> bool:
    """Whether `latest` stays because of the verdict: one of `keeping` does that, unless a person `forced` it
    with a reason."""
    return verdict in keeping and not forced
