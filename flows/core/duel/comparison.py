"""The answers of both sides, example by example, become a comparison."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from flows.core.duel.golden_set import GoldenExample, GoldenSet
from flows.core.duel.verdict import Tally
from flows.core.model.manifest import ModelManifest
from flows.core.text import quoted

SHOWN = 20
"""Number of examples that the report shows."""

LISTED = 5
"""Number of labels that a note names."""


@dataclass(frozen=True)
class Reply:
    """What one side made of an input: label and percent, best first, after so many milliseconds.

    Without an answer, `failure` says why.
    """

    best: tuple[tuple[str, float], ...] = ()
    milliseconds: float = 0
    failure: str = ""

    def is_right(self, label: str) -> bool:
        """Whether the best label is that one."""
        return bool(self.best) and self.best[0][0] == label

    def percent(self, label: str) -> float:
        """What it gives that label; 0 where that is not among the best."""
        return max((percent for given, percent in self.best if given == label), default=0.0)

    def __str__(self) -> str:
        return (
            f"{quoted(self.best[0][0])} {self.best[0][1]:.1f} %"
            if self.best
            else f"no answer: {self.failure}"
        )


@dataclass(frozen=True)
class Pair:
    """The answers of both sides to one example, and the example's right label."""

    example: GoldenExample
    label: str
    candidate: Reply
    live: Reply

    @property
    def candidate_is_right(self) -> bool:
        """Whether the candidate's best label is the right one."""
        return self.candidate.is_right(self.label)

    @property
    def live_is_right(self) -> bool:
        """Whether the best label of what is live is the right one."""
        return self.live.is_right(self.label)

    @property
    def has_changed(self) -> bool:
        """Whether both sides differ in anything that they answer."""
        return self.candidate.best != self.live.best

    @property
    def change(self) -> tuple[bool, float]:
        """How much the answer has changed, for sorting: whether exactly one side is right, then by how many
        points both sides differ about the right label."""
        points = abs(self.candidate.percent(self.label) - self.live.percent(self.label))
        return self.candidate_is_right != self.live_is_right, points


@dataclass(frozen=True)
class LabelTally:
    """One class: its index and label, its examples, and how many of them each side answered right."""

    index: int
    label: str
    examples: int
    candidate_right: int
    live_right: int

    @property
    def difference(self) -> float:
        """The candidate's accuracy minus that of what is live."""
        return (self.candidate_right - self.live_right) / self.examples


@dataclass(frozen=True)
class Comparison:
    """What both sides answered, added up.

    `latency_ratio` is the median of the candidate's answer times, each divided by that of what is live; None
    without an example that both answered. `labels` are the classes, those that lost most first.
    """

    tally: Tally
    labels: tuple[LabelTally, ...]
    latency_ratio: float | None
    changed: int
    most_changed: tuple[Pair, ...]
    candidate_failures: int
    live_failures: int
    first_failure: str = ""


def compare(pairs: Sequence[Pair]) -> Comparison:
    """The comparison of at least one pair. A side that gave no answer counts as wrong there."""
    changed = [pair for pair in pairs if pair.has_changed]
    failures = [reply for pair in pairs for reply in (pair.candidate, pair.live) if reply.failure]
    return Comparison(
        tally=_tally(pairs),
        labels=_labels(pairs),
        latency_ratio=_latency_ratio(pairs),
        changed=len(changed),
        most_changed=tuple(sorted(changed, key=lambda pair: pair.change, reverse=True)[:SHOWN]),
        candidate_failures=sum(bool(pair.candidate.failure) for pair in pairs),
        live_failures=sum(bool(pair.live.failure) for pair in pairs),
        first_failure=failures[0].failure if failures else "",
    )


def comparable(
    golden: GoldenSet, candidate: Collection[str], live: Collection[str]
) -> tuple[list[GoldenExample], list[str]]:
    """The examples whose right label both models know, and the labels for which that is not so."""
    known = set(candidate) & set(live)
    examples = [example for example in golden.examples if golden.label(example) in known]
    used = dict.fromkeys(golden.label(example) for example in golden.examples)
    return examples, [label for label in used if label not in known]


def what_differs(
    golden: GoldenSet,
    examples: Sequence[GoldenExample],
    unknown: Sequence[str],
    candidate: ModelManifest,
    live: ModelManifest,
) -> tuple[str, ...]:
    """What is compared in part only, or compares different things, as notes for the report."""
    notes = []
    if unknown:
        named = ", ".join(quoted(label) for label in unknown[:LISTED])
        more = f" and {len(unknown) - LISTED} more" if len(unknown) > LISTED else ""
        left_out = len(golden.examples) - len(examples)
        notes.append(f"{left_out} examples were left out: not both models know {named}{more}")
    if candidate.name != live.name:
        notes.append(f"what is live has another model: {live.name} {live.version}")
    if candidate.preprocessing.input_shape() != live.preprocessing.input_shape():
        notes.append("the models take inputs of other shapes; both were asked the same pictures")
    return tuple(notes)


def _tally(pairs: Sequence[Pair]) -> Tally:
    outcomes = [(pair.candidate_is_right, pair.live_is_right) for pair in pairs]
    return Tally(
        both=outcomes.count((True, True)),
        lost=outcomes.count((False, True)),
        won=outcomes.count((True, False)),
        neither=outcomes.count((False, False)),
    )


def _labels(pairs: Sequence[Pair]) -> tuple[LabelTally, ...]:
    by_class: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_class.setdefault(pair.example.class_index, []).append(pair)
    tallies = [
        LabelTally(
            index,
            theirs[0].label,
            len(theirs),
            sum(pair.candidate_is_right for pair in theirs),
            sum(pair.live_is_right for pair in theirs),
        )
        for index, theirs in by_class.items()
    ]
    return tuple(sorted(tallies, key=lambda one: (one.difference, one.index)))


def _latency_ratio(pairs: Sequence[Pair]) -> float | None:
    ratios = [
        pair.candidate.milliseconds / pair.live.milliseconds
        for pair in pairs
        if pair.candidate.best and pair.live.best and pair.live.milliseconds > 0
    ]
    return median(ratios) if ratios else None
