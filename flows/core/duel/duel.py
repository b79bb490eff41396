"""A duel that was held, or why there was none, in the words of a report."""

from collections.abc import Collection
from dataclasses import dataclass, field

from flows.core.duel.comparison import Comparison
from flows.core.duel.golden_set import GoldenSet
from flows.core.duel.verdict import Margins, Verdict, judge, keeps_latest


@dataclass(frozen=True)
class NoDuel:
    """There was no duel, for this reason."""

    reason: str

    def __str__(self) -> str:
        return f"none: {self.reason}"


@dataclass(frozen=True)
class Duel:
    """What both sides answered to the golden set.

    `candidate` and `live` name the sides, such as "5a2f01c + digits 1.0.0, live in production". `notes` say
    what was not compared, and why.
    """

    golden: GoldenSet = field(repr=False)
    candidate: str
    live: str
    comparison: Comparison = field(repr=False)
    margins: Margins
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The candidate, compared with what is live."""
        return judge(self.comparison.tally, self.comparison.latency_ratio, self.margins)

    def __str__(self) -> str:
        tally = self.comparison.tally
        return (
            f"{self.verdict}: {percent(tally.candidate_accuracy)} right instead of "
            f"{percent(tally.live_accuracy)}, {tally.lost} lost and {tally.won} won of {tally.examples}, "
            f"against {self.live}"
        )

    def facts(self) -> list[tuple[str, str]]:
        """What was found, each with its name."""
        tally, ratio = self.comparison.tally, self.comparison.latency_ratio
        bounds = tally.interval
        return [
            ("golden set", f"{self.golden.name} {self.golden.version}, {self.golden.manifest_digest[:19]}"),
            ("candidate", f"{self.candidate}: {percent(tally.candidate_accuracy)} right"),
            ("compared with", f"{self.live}: {percent(tally.live_accuracy)} right"),
            ("examples", f"{tally.examples}, in {self.seconds:.0f} s"),
            (
                "right",
                f"both {tally.both}, what is live alone {tally.lost}, the candidate alone {tally.won}, "
                f"neither {tally.neither}",
            ),
            (
                "difference",
                f"{points(tally.candidate_accuracy - tally.live_accuracy)}, with 95 % confidence "
                f"{points(bounds.low)} to {points(bounds.high)}",
            ),
            (
                "chance",
                f"equal models differ so much in {_chance(tally.p_value)} of duels (McNemar's exact test)",
            ),
            (
                "margin",
                f"{100 * self.margins.accuracy:g} points; it needs about {self.needed} examples",
            ),
            (
                "answer times",
                "not known"
                if ratio is None
                else f"{ratio:.2f} times those of what is live; the margin is {self.margins.latency:g}",
            ),
            ("answers that changed", str(self.comparison.changed)),
            *self._failures(),
            *(("note", note) for note in self.notes),
        ]

    @property
    def needed(self) -> int:
        """How many examples the margin would need."""
        return self.comparison.tally.needed(self.margins.accuracy)

    def _failures(self) -> list[tuple[str, str]]:
        ours, theirs = self.comparison.candidate_failures, self.comparison.live_failures
        if not ours and not theirs:
            return []
        text = (
            f"{ours} of the candidate, {theirs} of what is live; the first: {self.comparison.first_failure}"
        )
        return [("answers that failed", text)]

    def meaning(self) -> str:
        """The verdict as a sentence, with what to do about it."""
        margin = f"{100 * self.margins.accuracy:g} points"
        match self.verdict:
            case Verdict.BETTER:
                return "The candidate is better than what is live."
            case Verdict.NOT_WORSE:
                return f"The candidate is not worse than what is live, within the margin of {margin}."
            case Verdict.WORSE:
                surely = "" if self.comparison.tally.interval.high < -self.margins.accuracy else "maybe "
                return f"The candidate is worse than what is live, {surely}by more than {margin}."
            case Verdict.WORSE_WITHIN_MARGIN:
                return f"The candidate is worse than what is live, but within the margin of {margin}."
            case Verdict.TOO_FEW:
                return (
                    "The golden set is too small to tell whether the candidate is worse by more than "
                    f"{margin}: about {self.needed} examples are needed."
                )
            case Verdict.SLOWER:
                return (
                    "The candidate answers more slowly than what is live, by the median of its answer times: "
                    f"{self.comparison.latency_ratio or 0:.2f} times."
                )


def kept_because(duel: Duel | NoDuel, keeping: Collection[Verdict], forced: str) -> str:
    """Why `latest` stays after that duel; "" where it may move."""
    if isinstance(duel, NoDuel) or not keeps_latest(duel.verdict, keeping, forced):
        return ""
    return (
        f"the duel found it {duel}; `slipway ci --force REASON` overrides that, for a reason that others read"
    )


def forced_past(duel: Duel | NoDuel, keeping: Collection[Verdict], forced: str) -> str:
    """How a person's reason overrode the verdict; "" where none did."""
    if isinstance(duel, NoDuel) or not forced or not keeps_latest(duel.verdict, keeping, ""):
        return ""
    return f"forced, although the duel found it {duel.verdict}: {forced}"


def golden_set_changed(before: str, now: GoldenSet) -> str:
    """How the golden set differs from that of the duel before, as a sentence; `before` is its name, version
    and digest, "" if there was no duel before."""
    if not before or before == identity(now):
        return ""
    return f"The golden set is another one than in the duel before, which asked {before}."


def identity(golden: GoldenSet) -> str:
    """Name, version and digest."""
    return f"{golden.name} {golden.version} ({golden.manifest_digest[:19]})"


def _chance(probability: float) -> str:
    return "less than 0.01 %" if probability < 0.0001 else f"{100 * probability:.2f} %"


def percent(share: float) -> str:
    """A share as percent, such as "97.3 %"."""
    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """A difference of shares as points, such as "-1.2 points"."""
    return f"{100 * share:+.1f} points"
