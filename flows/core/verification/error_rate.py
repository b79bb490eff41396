"""Whether a release answers with 5xx more often than what was live before it; valid at every look.

The evidence is a bet against "not more often", repeated at each look (an e-process). By Ville's inequality,
it ever reaches 1 / `FALSE_ALARM` with that probability at most, however often it is looked at. See
docs/design/verification.md.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist

FALSE_ALARM = 0.005
"""Probability that a release which is no worse is taken for worse, in all looks together."""

UNCERTAINTY = 0.005
"""Probability that the rate before is above the bound that is taken for it."""

BURST = 20
"""Number of errors that may have one cause, such as one client that repeats a request. They count as one in
the bound of a rate."""

PRIOR = 0.02
"""The share of 5xx that a release may have if nothing, or little, is known from before."""

FLOOR = 0.001
"""The share of 5xx that any release may have."""

WORSE = 2.0
"""A release is worse if it answers with 5xx more than so many times as often: rates differ by the hour."""

STAKES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Shares of what was won so far that are bet at each look; the evidence is the mean over them."""

REPEATED = 10
"""Fewer errors undo no release: one client may repeat its request for seconds. But if half of all requests
fail, it is not one client."""

MOST = 10.0
"""A look counts for at most so many times the tolerated rate: no single look is enough."""


@dataclass(frozen=True)
class Answers:
    """How many requests were answered, and how many of them with 5xx."""

    requests: int = 0
    errors: int = 0

    def __add__(self, other: "Answers") -> "Answers":
        return Answers(self.requests + other.requests, self.errors + other.errors)

    def since(self, earlier: "Answers") -> "Answers":
        """What a counter has counted since; one that shows less than before began again at 0."""
        if self.requests < earlier.requests or self.errors < earlier.errors:
            return self
        return Answers(self.requests - earlier.requests, self.errors - earlier.errors)

    @property
    def rate(self) -> float:
        """The share of 5xx; 0 of nothing."""
        return self.errors / self.requests if self.requests else 0.0


NO_ANSWERS = Answers()


@dataclass(frozen=True)
class Outgoing:
    """What the outgoing release answered: in `total`, and `lately`, in the seconds while it was watched."""

    total: Answers = NO_ANSWERS
    lately: Answers = NO_ANSWERS

    def __str__(self) -> str:
        if not self.total.requests:
            return "the rate before the release is not known"
        lately = f", lately {_listed(self.lately)}" if self.lately.errors >= REPEATED else ""
        return f"the release before {_listed(self.total)}{lately}"

    @property
    def tolerated(self) -> float:
        """The share of 5xx up to which a release is not worse than this one.

        Few requests give an uncertain rate: then its upper bound counts, up to `PRIOR`. If something is down
        that all releases need, the latest rate counts.
        """
        if not self.total.requests:
            return PRIOR
        upper = _upper(self.total.errors / BURST) * BURST / self.total.requests
        lately = self.lately.rate if self.lately.errors >= REPEATED else 0.0
        return min(1.0, max(FLOOR, WORSE * self.total.rate, WORSE * lately, min(upper, PRIOR)))


UNKNOWN = Outgoing()


@dataclass
class Evidence:
    """What all looks together say against "at most `tolerated` of the requests are answered with 5xx"."""

    tolerated: float
    answers: Answers = NO_ANSWERS
    _logs: list[float] = field(default_factory=lambda: [0.0] * len(STAKES))

    def look(self, seen: Answers) -> None:
        """Take in what was answered since the look before."""
        self.answers += seen
        if seen.requests:
            times = min(MOST, min(1.0, seen.rate) / self.tolerated)
            won = (math.log1p(stake * (times - 1)) for stake in STAKES)
            self._logs = [log + more for log, more in zip(self._logs, won, strict=True)]

    @property
    def is_worse(self) -> bool:
        """Whether the release is worse; wrong with a probability of `FALSE_ALARM` at most."""
        requests, errors = self.answers.requests, self.answers.errors
        if errors < REPEATED and 2 * errors < requests:
            return False
        top = max(self._logs)
        mean = sum(math.exp(log - top) for log in self._logs) / len(STAKES)
        return top + math.log(mean) >= -math.log(FALSE_ALARM)


def _listed(answers: Answers) -> str:
    return f"{100 * answers.rate:.2g} % of {answers.requests}"


def _upper(events: float) -> float:
    """Poisson's upper bound for so many events, in Wilson and Hilferty's form."""
    z = NormalDist().inv_cdf(1 - UNCERTAINTY)
    more = events + 1
    return float(more * (1 - 1 / (9 * more) + z / (3 * math.sqrt(more))) ** 3)
