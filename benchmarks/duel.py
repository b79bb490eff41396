"""What a duel finds, and how long it takes.

`python -m benchmarks.duel power`: simulated duels: how often a drop is found, how often an equal model is
called worse, and whether the number of examples that a report names suffices. `churn` is the share of the
examples that a model wins for no reason, and loses again.

`python -m benchmarks.duel time`: two of the sample application's containers' programs side by side on this
machine, asked 500 generated pictures of 1000 x 800; the same number asked of one side alone is the floor.
"""

import argparse
import io
import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from deployments.local.demo import sample_model
from flows.core.duel.golden_set import GoldenExample
from flows.core.duel.statistics import interval, needed_examples
from flows.core.duel.verdict import Tally, Verdict, accuracy_verdict
from flows.services.verification.public_endpoint import PublicEndpoint
from flows.services.verification.side_by_side import Question, ask_both
from tests.app.server import Server

DUELS = 4000
NUMBERS = (100, 200, 500, 1000, 2000)
WORSE = (Verdict.WORSE, Verdict.WORSE_WITHIN_MARGIN)
PICTURES, SIZE = 500, (1000, 800)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure duels.")
    parser.add_argument("what", choices=("power", "time"))
    parser.add_argument("--duels", type=int, default=DUELS)
    arguments = parser.parse_args()
    if arguments.what == "power":
        power(arguments.duels)
    else:
        take_time()


def power(duels: int) -> None:
    chance = np.random.default_rng(1)
    print(f"| drop | churn | {' | '.join(f'found at {n}' for n in NUMBERS)} |")
    print("|---" * (2 + len(NUMBERS)) + "|")
    for drop in (0.05, 0.02, 0.01):
        for churn in (0.0, 0.01, 0.03):
            found = [share(verdicts(chance, duels, n, drop, churn), *WORSE) for n in NUMBERS]
            print(f"| {100 * drop:g} points | {churn:.0%} | {' | '.join(f'{one:.3f}' for one in found)} |")
    print(f"\n| equal model, churn | {' | '.join(f'false worse at {n}' for n in NUMBERS)} |")
    print("|---" * (1 + len(NUMBERS)) + "|")
    for churn in (0.0, 0.01, 0.03):
        wrong = [share(verdicts(chance, duels, n, 0, churn), *WORSE) for n in NUMBERS]
        print(f"| {churn:.0%} | {' | '.join(f'{one:.4f}' for one in wrong)} |")
    print("\n| equal model, churn | margin | examples that a report names | of these duels not worse |")
    print("|---|---|---|---|")
    for churn in (0.01, 0.03):
        for margin in (0.02, 0.05):
            n = needed_examples(round(500 * churn), round(500 * churn), 500, margin)
            enough = share(verdicts(chance, duels, n, 0, churn, margin=margin), Verdict.NOT_WORSE)
            print(f"| {churn:.0%} | {100 * margin:g} points | {n} | {enough:.3f} |")
    print(f"\ncoverage of the 95 % interval, 500 examples: {coverage(chance, duels):.3f}")


def verdicts(
    chance: np.random.Generator, duels: int, n: int, drop: float, churn: float, *, margin: float = 0.02
) -> Counter[Verdict]:
    """The verdicts of so many duels of n examples."""
    shares = [drop + churn, churn, 1 - drop - 2 * churn]
    cells = chance.multinomial(n, shares, duels)
    return Counter(verdict(int(lost), int(won), n, margin) for lost, won, _ in cells)


@cache
def verdict(lost: int, won: int, n: int, margin: float) -> Verdict:
    return accuracy_verdict(Tally(n - lost - won, lost, won, 0), margin)


def share(found: Counter[Verdict], *of: Verdict) -> float:
    return sum(found[one] for one in of) / found.total()


def coverage(chance: np.random.Generator, duels: int) -> float:
    """How often the interval holds the true difference, which is two points."""
    cells = chance.multinomial(500, [0.03, 0.01, 0.96], duels)
    bounds = [interval(int(lost), int(won), 500) for lost, won, _ in cells]
    return statistics.mean(one.low <= -0.02 <= one.high for one in bounds)


def take_time() -> None:
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name, ExitStack() as started:
        folder = Path(name)
        model = sample_model.make("1.0.0", folder / "models", print)
        questions = pictures(folder / "pictures")
        candidate, live = (
            started.enter_context(serving(folder, model, side)) for side in ("candidate", "live")
        )
        began = time.perf_counter()
        asked = ask_both(candidate, live, questions, seconds=600, chance=random.Random(1))
        both = time.perf_counter() - began
        began = time.perf_counter()
        ask_both(candidate, candidate, questions[: PICTURES // 2], seconds=600, chance=random.Random(1))
        alone = time.perf_counter() - began
    times = [pair.candidate.milliseconds / pair.live.milliseconds for pair in asked.pairs]
    print(f"| {PICTURES} x 2 pictures of {SIZE[0]} x {SIZE[1]} | {both:.1f} s |")
    print(f"| {PICTURES} pictures to one side alone | {alone:.1f} s |")
    print(f"| both to one alone | {both / alone:.2f} |")
    print(f"| answer times of the same model, candidate to live | {statistics.median(times):.3f} |")
    changed = sum(pair.has_changed for pair in asked.pairs)
    print(f"| answers that differ between the same models | {changed} |")


def pictures(folder: Path) -> list[Question]:
    """Generated photographs: noise that was smoothed, so that a JPEG has about a photograph's size."""
    folder.mkdir()
    chance = np.random.default_rng(1)
    questions = []
    for number in range(PICTURES):
        coarse = chance.integers(0, 256, (SIZE[1] // 20, SIZE[0] // 20, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        (folder / f"{number}.jpg").write_bytes(file.getvalue())
        example = GoldenExample(f"{number}.jpg", 0, len(file.getvalue()))
        questions.append(Question(example, "", lambda one: (folder / one.input).read_bytes()))
    return questions


@contextmanager
def serving(folder: Path, model: Path, side: str) -> Iterator[PublicEndpoint]:
    """The application with that model, as one process on this machine."""
    own = folder / side
    own.mkdir()
    server = Server.start(own, model, POD_NAME=side, WEB_CONCURRENCY="1")
    try:
        server.wait_until(server.is_ready)
        yield PublicEndpoint(f"http://127.0.0.1:{server.port}")
    finally:
        server.process.kill()
        server.process.wait()


if __name__ == "__main__":
    main()
