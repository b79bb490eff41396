"""How sure a difference between two models is that answered the same examples.

Only the examples on which exactly one of both is right say anything: `lost` are those that the candidate
answers wrong and the other one right, `won` the other way round.
"""

import math
from dataclasses import dataclass

from flows.core.duel.golden_set import LEAST

CONFIDENCE = 1.959964
"""Standard deviations within which 95 of 100 values of a normal distribution lie."""

POWER = 0.841621
"""Standard deviations below which 80 of 100 values lie."""

SIGNIFICANT = 0.05
"""How often, at most, two models that are equal are found to differ."""


@dataclass(frozen=True)
class Interval:
    """Bounds of a difference, as a share of the examples: 0.02 is two points."""

    low: float
    high: float


def mcnemar(lost: int, won: int) -> float:
    """How often two models that are equal would differ at least so much: the exact two-sided McNemar test.

    McNemar (1947), "Note on the sampling error of the difference between correlated proportions".
    """
    discordant, fewer = lost + won, min(lost, won)
    tail = sum(math.comb(discordant, count) for count in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << discordant))


def interval(lost: int, won: int, examples: int) -> Interval:
    """The 95 % interval of the difference in accuracy, candidate minus the other one.

    Agresti and Min (2005), "Simple improved confidence intervals for comparing matched proportions": half an
    example is added to each cell, so that no difference in few examples is not taken for certainty.
    """
    fewer, more, number = lost + 0.5, won + 0.5, examples + 2
    difference = (more - fewer) / number
    half = CONFIDENCE * math.sqrt(fewer + more - (more - fewer) ** 2 / number) / number
    return Interval(difference - half, difference + half)


def needed_examples(lost: int, won: int, examples: int, margin: float) -> int:
    """With how many examples an equal model would be found not worse within `margin` in four of five duels.

    `margin` is a share: 0.02 is two points. The share of examples on which both differ is taken to stay. A
    golden set has at least `LEAST`.
    """
    discordant = (lost + won + 1) / (examples + 2)
    spread = discordant * ((CONFIDENCE + POWER) / margin) ** 2
    return math.ceil(max(spread, CONFIDENCE / margin, LEAST))
