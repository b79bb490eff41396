"""Duels for tests of what is said and drawn of them."""

from flows.core.duel.comparison import Pair, Reply, compare
from flows.core.duel.duel import Duel
from flows.core.duel.golden_set import GoldenExample, GoldenSet
from flows.core.duel.verdict import Margins

MARGINS = Margins(0.02, 1.15)


def golden_set(version: str = "1", labels: tuple[str, ...] = ("crane", "stork")) -> GoldenSet:
    examples = tuple(GoldenExample(f"inputs/{i:03}.png", i % len(labels), 10) for i in range(100))
    time = "2026-11-22T08:00:00Z"
    return GoldenSet(1, "birds", version, "sha256:" + "0" * 64, 1, time, "birds", labels, examples)


def reply(label: str, percent: float = 90.0, milliseconds: float = 10.0) -> Reply:
    return Reply(((label, percent), ("other", 100 - percent)), milliseconds)


def pairs(golden: GoldenSet, lost: int, won: int, examples: int, slower: float = 1.0) -> list[Pair]:
    found = []
    for number in range(examples):
        example = golden.examples[number % len(golden.examples)]
        right = golden.label(example)
        ours = "wrong" if number < lost else right
        theirs = "wrong" if lost <= number < lost + won else right
        candidate, live = reply(ours, milliseconds=10 * slower), reply(theirs)
        found.append(Pair(example, right, candidate, live))
    return found


def duel(
    lost: int = 0, won: int = 0, examples: int = 500, slower: float = 1.0, notes: tuple[str, ...] = ()
) -> Duel:
    golden = golden_set()
    found = compare(pairs(golden, lost, won, examples, slower))
    return Duel(
        golden,
        "5a2f01c + birds 1.1.0",
        "5a2f01c + birds 1.0.0, live in production",
        found,
        MARGINS,
        12.3,
        notes,
    )
