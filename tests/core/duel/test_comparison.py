"""Answers of both sides, added up."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flows.core.duel.comparison import SHOWN, Pair, Reply, comparable, compare, what_differs
from flows.core.duel.golden_set import GoldenExample, GoldenSet
from flows.core.duel.verdict import Tally
from flows.core.model import manifest as manifests
from flows.core.model.manifest import ModelManifest

MODELS = Path(__file__).parents[2] / "app" / "models"

CRANE, MISSILE, OTHER_MISSILE = 0, 1, 2
LABELS = ("crane", "missile", "missile")


def reply(label: str, percent: float = 80.0, milliseconds: float = 10.0) -> Reply:
    rest = "missile" if label == "crane" else "crane"
    return Reply(((label, percent), (rest, 100 - percent)), milliseconds)


def pair(class_index: int, candidate: Reply, live: Reply, name: str = "one") -> Pair:
    return Pair(GoldenExample(f"{name}.png", class_index, 10), LABELS[class_index], candidate, live)


RIGHT, WRONG = reply("crane"), reply("missile")
SILENT = Reply(failure="it broke off")


@pytest.mark.parametrize(
    ("candidate", "live", "expected"),
    [
        (RIGHT, RIGHT, Tally(1, 0, 0, 0)),
        (WRONG, RIGHT, Tally(0, 1, 0, 0)),
        (RIGHT, WRONG, Tally(0, 0, 1, 0)),
        (WRONG, WRONG, Tally(0, 0, 0, 1)),
        (SILENT, RIGHT, Tally(0, 1, 0, 0)),
        (SILENT, SILENT, Tally(0, 0, 0, 1)),
    ],
)
def test_an_example_counts_where_it_belongs(candidate: Reply, live: Reply, expected: Tally) -> None:
    assert compare([pair(CRANE, candidate, live)]).tally == expected


def test_an_answer_without_a_label_that_is_unique_is_right_for_each_of_its_classes() -> None:
    found = compare([pair(MISSILE, WRONG, WRONG), pair(OTHER_MISSILE, WRONG, WRONG)])
    assert found.tally == Tally(2, 0, 0, 0)
    assert [(one.index, one.label) for one in found.labels] == [(1, "missile"), (2, "missile")]


def test_the_labels_that_lost_most_come_first() -> None:
    pairs = [
        pair(CRANE, WRONG, RIGHT),
        pair(CRANE, RIGHT, RIGHT),
        pair(MISSILE, WRONG, WRONG),
        pair(OTHER_MISSILE, WRONG, RIGHT),
    ]
    found = compare(pairs)
    assert [(one.index, one.examples, one.candidate_right, one.live_right) for one in found.labels] == [
        (CRANE, 2, 1, 2),
        (MISSILE, 1, 1, 1),
        (OTHER_MISSILE, 1, 1, 0),
    ]
    assert [one.difference for one in found.labels] == [-0.5, 0, 1]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(10.0, 10.0)], 1.0),
        ([(8.0, 10.0), (9.0, 10.0), (1000.0, 10.0)], 0.9),  # one that was late says little
        ([(10.0, 0.0)], None),
    ],
)
def test_the_latency_ratio_is_the_median_of_the_pairs(
    times: Sequence[tuple[float, float]], expected: float | None
) -> None:
    pairs = [pair(CRANE, reply("crane", 80, ours), reply("crane", 80, theirs)) for ours, theirs in times]
    assert compare(pairs).latency_ratio == expected


def test_answers_that_failed_are_counted_and_have_no_latency() -> None:
    found = compare([pair(CRANE, SILENT, RIGHT), pair(CRANE, SILENT, RIGHT), pair(CRANE, RIGHT, SILENT)])
    assert (found.candidate_failures, found.live_failures, found.latency_ratio) == (2, 1, None)
    assert found.first_failure == "it broke off"


def test_those_that_changed_most_are_shown_lost_and_won_ones_first() -> None:
    unsure = pair(CRANE, reply("crane", 51), reply("crane", 99), "unsure")
    lost = pair(CRANE, WRONG, RIGHT, "lost")
    same = pair(CRANE, RIGHT, RIGHT, "same")
    faster = pair(CRANE, reply("crane", milliseconds=1), RIGHT, "faster")
    found = compare([same, unsure, lost, faster])
    assert found.changed == 2
    assert [one.example.input for one in found.most_changed] == ["lost.png", "unsure.png"]


def test_no_more_are_shown_than_fit() -> None:
    found = compare([pair(CRANE, WRONG, RIGHT, str(i)) for i in range(SHOWN + 5)])
    assert (found.changed, len(found.most_changed)) == (SHOWN + 5, SHOWN)


GOLDEN = GoldenSet(
    1,
    "birds",
    "1",
    "sha256:" + "0" * 64,
    1,
    "2026-11-22T08:00:00Z",
    "birds",
    LABELS,
    tuple(GoldenExample(f"{i}.png", index, 10) for i, index in enumerate([0, 0, 1, 2] * 25)),
)


@pytest.mark.parametrize(
    ("candidate", "live", "count", "unknown"),
    [
        (["crane", "missile"], ["missile", "crane", "dog"], 4, []),
        (["crane", "rocket"], ["missile", "crane"], 2, ["missile"]),
        (["Crane"], ["crane"], 0, ["crane", "missile"]),
    ],
)
def test_examples_count_whose_label_both_models_know(
    candidate: list[str], live: list[str], count: int, unknown: list[str]
) -> None:
    found, missing = comparable(GOLDEN, candidate, live)
    assert (len(found), missing) == (25 * count, unknown)


MANIFEST = manifests.parse((MODELS / "digits" / "manifest.json").read_bytes(), source="digits")
LARGER = replace(MANIFEST, preprocessing=replace(MANIFEST.preprocessing, crop=16))


@pytest.mark.parametrize(
    ("live", "unknown", "notes"),
    [
        (MANIFEST, [], ()),
        (replace(MANIFEST, version="2.0.0"), [], ()),
        (replace(MANIFEST, name="letters"), [], ("what is live has another model: letters 1.0.0",)),
        (LARGER, [], ("the models take inputs of other shapes; both were asked the same pictures",)),
        (MANIFEST, ["crane"], ('90 examples were left out: not both models know "crane"',)),
        (
            MANIFEST,
            list("abcdefg"),
            ('90 examples were left out: not both models know "a", "b", "c", "d", "e" and 2 more',),
        ),
    ],
)
def test_what_is_not_compared_is_noted(
    live: ModelManifest, unknown: list[str], notes: tuple[str, ...]
) -> None:
    assert what_differs(GOLDEN, GOLDEN.examples[:10], unknown, MANIFEST, live) == notes
