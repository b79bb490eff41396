"""How long it takes from an event to the run that it starts, as a Markdown table.

`python -m benchmarks.triggers` brings up a platform of its own (about a minute, once the machine has built
what platforms are made of), measures, and removes it. Medians of several rounds, since others may use the
machine; the table says how busy it was. Nothing is built while it is measured: the commits change nothing.
"""

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import psutil
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from benchmarks.deliveries import BURST, SECONDS, Answer, Sender, sender
from benchmarks.line import Line, awaited, line
from deployments.local.prefect import triggers
from flows.config.load import CHECKOUT

COMMITS, BURSTS = 10, 5
FLOOR = "import prefect.engine, flows.ci"
"""What the process of a flow run imports, whatever it does then."""


@dataclass(frozen=True)
class Row:
    """One line of the table; values are seconds where nothing else is said."""

    what: str
    found: str
    goal: str = ""


@dataclass(frozen=True)
class Burst:
    """The answers to its deliveries, and the runs that it made; `is_whole` where none is lost."""

    answers: Sequence[Answer]
    runs: Sequence[str]
    is_whole: bool


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what starts runs.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--interval", type=float, default=10, help="seconds between two looks of the poller")
    arguments = parser.parse_args()
    with line(arguments.interval) as measured:
        rows = list(measure(measured, arguments.rounds, arguments.interval))
    print(f"Measured on {machine()}.\n")
    print("| | found | goal |\n|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.found} | {row.goal} |")


def measure(measured: Line, rounds: int, interval: float) -> Iterator[Row]:
    github = sender(measured)
    note("the floor")
    bare = [process(measured, "pass") for _ in range(rounds)]
    floor = [process(measured, FLOOR) for _ in range(rounds)]
    yield Row("a process's bare floor: interpreter and imports of a flow run", seconds(floor))
    yield Row("of it, the interpreter", seconds(bare))
    note("deliveries, one by one")
    answers, stages = deliveries(measured, github, rounds)
    yield Row("webhook → its answer (202, the run exists)", against(answers, floor), "< 1 s")
    yield Row("webhook → first stage of CI is running", against(stages, floor), "< 4 s")
    note("runs started by hand")
    yield Row("`run_deployment` → first task is running", against(list(by_hand(measured, rounds)), floor))
    note("an empty flow")
    yield Row("an empty flow, in a process that runs already", against([empty_flow(measured, rounds)], floor))
    note("models")
    triggers.start_poller(measured.instance)
    yield models(measured, rounds, interval, floor)
    note("bursts")
    yield from bursts(measured, github)
    note("receiver")
    yield from rates(measured, github)


def process(measured: Line, code: str) -> float:
    """Seconds that a process with that code takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, env=measured.environment, check=True)
    return time.perf_counter() - began


def deliveries(measured: Line, github: Sender, rounds: int) -> tuple[list[float], list[float]]:
    answers, stages = [], []
    for _ in range(rounds):
        before = measured.git("rev-parse", "HEAD")
        answer = github.deliver(measured.commit(), before)
        answers.append(answer.seconds)
        stages.append(measured.first_stage(answer.run).timestamp() - answer.sent)
        measured.ended(answer.run)
        breathe()
    return answers, stages


def by_hand(measured: Line, rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        sha = measured.commit()
        began = time.time()
        found = run_deployment("ci/commit", parameters={"ref": sha}, timeout=0, as_subflow=False)
        run = str(cast(FlowRun, found).id)  # it is no coroutine, as no loop runs here
        yield measured.first_stage(run).timestamp() - began
        measured.ended(run)
        breathe()


def empty_flow(measured: Line, rounds: int) -> float:
    command = [sys.executable, "-m", "benchmarks.empty_flow", str(rounds)]
    quiet = {**measured.environment, "PREFECT_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(command, cwd=CHECKOUT, env=quiet, check=True, capture_output=True, text=True)
    return float(done.stdout)


def bursts(measured: Line, github: Sender) -> Iterator[Row]:
    found = [burst(measured, github) for _ in range(BURSTS)]
    answers = [answer for one in found for answer in one.answers]
    answered = sum(answer.status == 202 for answer in answers)
    made = sum(len(one.runs) for one in found)
    lost = "none lost" if all(one.is_whole for one in found) else "NOT ALL FOUND"
    what = f"{BURSTS} bursts of {BURST} deliveries for {COMMITS} commits within {SECONDS:.0f} s"
    goal = f"{BURSTS * BURST}, {BURSTS * COMMITS}, none lost"
    yield Row(what, f"{answered} answered 202, {made} runs, {lost}", goal)
    slowest = [max(answer.seconds for answer in one.answers) for one in found]
    yield Row("of them, a burst's slowest answer, in the median of the bursts", seconds(slowest), "< 1 s")
    yield Row("of them, the slowest answer of all", f"{max(slowest):.2f} s", "< 2 s")
    yield Row("of them, the median answer", seconds([answer.seconds for answer in answers]))


def burst(measured: Line, github: Sender) -> Burst:
    """One, and the end of the runs that it made."""
    commits = []
    for _ in range(COMMITS):
        before = measured.git("rev-parse", "HEAD")
        commits.append((measured.commit(), before))
    answers = github.burst(commits)
    runs = {sha: measured.runs_of(sha) for sha, _ in commits}
    made = [run for found in runs.values() for run in found]
    for run in made:
        measured.ended(run)
    return Burst(answers, made, set(made) == {answer.run for answer in answers} and all(runs.values()))


def rates(measured: Line, github: Sender) -> Iterator[Row]:
    before, sha = measured.git("rev-parse", "HEAD^", "HEAD").split()
    github.deliver(sha, before)

    def known() -> Answer:
        return github.deliver(sha, before)

    def ignored() -> Answer:
        return github.deliver(sha, before, "ping")

    yield Row("receiver: deliveries of a commit that has its run", f"{github.rate(known, 202):.0f} a second")
    yield Row("receiver: deliveries that nothing is due for", f"{github.rate(ignored, 200):.0f} a second")


def models(measured: Line, rounds: int, interval: float, floor: Sequence[float]) -> Row:
    sha = measured.git("rev-parse", "HEAD")
    taken = []
    for _ in range(rounds):
        known = set(measured.runs_of(sha))
        breathe(random.uniform(1, 1 + interval))  # the poller is at any moment of its interval
        measured.publish()
        began = time.time()
        run = awaited(partial(another_run, measured, sha, known), "a run with the new model")
        taken.append(measured.first_stage(run).timestamp() - began)
        measured.ended(run)
    what = f"model in the store → first stage of CI is running, the poller at {interval:.0f} s"
    return Row(what, against(taken, floor), f"< {interval:.0f} s + 4 s")


def another_run(measured: Line, sha: str, known: set[str]) -> str | None:
    return next((run for run in measured.runs_of(sha) if run not in known), None)


def seconds(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} s"


def against(values: Sequence[float], floor: Sequence[float]) -> str:
    ratio = statistics.median(values) / statistics.median(floor)
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return f"{seconds(values)}{spread}, {ratio:.1f} times the floor"


def breathe(pause: float = 1.0) -> None:
    """Let what a run leaves to do be done before the next is measured."""
    time.sleep(pause)


def note(what: str) -> None:
    print(f"measuring: {what} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def machine() -> str:
    memory = psutil.virtual_memory().total / 1000**3
    cores = psutil.cpu_count()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{cores} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}; load {load} at the end"
    )


if __name__ == "__main__":
    main()
