"""Proving a release the way its users would see it: through the public URL, over fresh connections."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from flows.core.errors import ProofFailed
from flows.core.manifest import Example, Manifest
from flows.services import probe
from flows.services.command import Say
from flows.services.edge import Edge

DEADLINE = 30.0
"""Seconds for every replica to have answered /version, and then for a further one to answer an example."""

PAUSE = 0.2
"""Seconds until whoever did not answer is asked again."""

IN_A_ROW = 3
"""Right answers in a row, for each replica, after the last one from an old replica."""

BROKEN = 3
"""Examples in a row that end without an answer, of replicas that answered /version: they crash on them."""

NOTICEABLE = 250.0
"""Milliseconds that a slower median must at least add: less is the machines' noise, or nobody's trouble."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds until an example was answered, over so many requests; 0 of 0 where none was."""

    median: float
    slowest: float
    requests: int

    @classmethod
    def of(cls, times: Iterable[float]) -> "Latency":
        """From single times, in milliseconds."""
        taken = tuple(times)
        return cls(median(taken), max(taken), len(taken)) if taken else cls(0, 0, 0)

    def __str__(self) -> str:
        return f"{self.median:.0f} ms (slowest {self.slowest:.0f} ms)" if self.requests else "not measured"


@dataclass(frozen=True)
class Proof:
    """What was seen: requests in all, examples that each replica answered, and how long those took, beside
    the outgoing release's time."""

    requests: int
    examples: int
    latency: Latency
    outgoing: Latency | None

    def __str__(self) -> str:
        before = f", the release before {self.outgoing}" if self.outgoing else ""
        return (
            f"every replica answered with the right capsule, and each of {self.examples} examples right, in "
            f"{self.requests} requests; an example took {self.latency}{before}"
        )


def measure(edge: Edge, manifest: Manifest, rounds: int) -> Latency:
    """How quickly whoever is live answers the model's examples, each asked `rounds` times.

    Whether the answers are right is not looked at, as they are another model's. What is not answered does not
    count: a release may be what repairs it.
    """
    times: list[float] = []
    for example in manifest.examples * rounds:
        try:
            times.append(probe.score(edge, example.input).milliseconds)
        except ProofFailed:
            continue
    return Latency.of(times)


def prove(
    edge: Edge,
    pods: tuple[str, ...],
    capsule: str,
    manifest: Manifest,
    *,
    outgoing: Latency | None,
    slower_than: float,
    say: Say,
    alive: Callable[[], None],
) -> Proof:
    """Every one of `pods` answers with this capsule, nobody with another, and each example right and in time.

    `ProofFailed` names who answered wrong, or was never reached, and whose fault it is. A pod that is not
    among `pods` is an old replica that is on its way out, which may take until the deadline. The median may
    be `slower_than` times the outgoing release's. `alive` is called before each request, and may raise.
    """
    if not pods:
        raise ProofFailed(f"There is no replica to ask at {edge.url}.", fault="infrastructure")
    requests = _every_replica(edge, set(pods), capsule, alive)
    say(f"All {len(pods)} replicas answered at {edge.url} with {capsule[:12]}, in {requests} requests.")
    times: list[float] = []
    for example in manifest.examples:
        asked, took = _asked_of_every(edge, set(pods), example, alive)
        requests += asked
        times += took
    proof = Proof(requests, len(manifest.examples), Latency.of(times), outgoing)
    say(f"Proven at {edge.url}: {proof}.")
    _require_as_quick(edge, proof, slower_than)
    return proof


def _every_replica(edge: Edge, pods: set[str], capsule: str, alive: Callable[[], None]) -> int:
    deadline = time.monotonic() + DEADLINE
    seen: set[str] = set()
    requests = right = 0
    other = ""
    while right < IN_A_ROW * len(pods) or not pods <= seen:
        alive()
        if time.monotonic() > deadline:
            raise _not_all(edge, pods - seen, other)
        requests += 1
        try:
            answer = probe.version(edge)
        except ProofFailed as failure:
            if failure.pod in pods:
                raise
            other, right = str(failure), 0
            time.sleep(PAUSE)
            continue
        if answer.capsule == capsule:
            seen.add(answer.pod)
            right += 1
            continue
        other, right = f"{answer.pod} answered with capsule {answer.capsule[:12]}", 0
        if answer.pod in pods:
            raise ProofFailed(f"{other}, but {capsule[:12]} was released.", pod=answer.pod)
    return requests


def _not_all(edge: Edge, missing: set[str], other: str) -> ProofFailed:
    silent = f"{', '.join(sorted(missing))} never answered" if missing else "other replicas answer too"
    happened = f"After {DEADLINE:g} s at {edge.url}, {silent}. {other.rstrip('.')}".rstrip(". ") + "."
    return ProofFailed(
        happened,
        "The replicas are ready, so look at what leads to them: DNS, load balancer, Service.",
        fault="infrastructure",
    )


def _asked_of_every(
    edge: Edge, pods: set[str], example: Example, alive: Callable[[], None]
) -> tuple[int, list[float]]:
    """Requests until each of `pods` had answered the example, and their times."""
    deadline = time.monotonic() + DEADLINE
    missing, times = set(pods), list[float]()
    requests = broken = 0
    other = ""
    while missing:
        alive()
        if broken == BROKEN or time.monotonic() > deadline:
            raise _unanswered(edge, example, missing, other, crashed=broken > 0)
        requests += 1
        try:
            answer = probe.score(edge, example.input)
        except ProofFailed as failure:
            if failure.pod in pods:
                raise
            other = str(failure)
            broken += failure.fault == "image" and not failure.pod
            time.sleep(PAUSE)
            continue
        if answer.pod not in pods:
            continue  # an old replica, after all: its model's answers don't matter
        if wrong := example.disagreement(answer.best):
            raise ProofFailed(f"{answer.pod} answers the model's examples wrong: {wrong}.", pod=answer.pod)
        if answer.pod in missing:
            missing.remove(answer.pod)
            deadline = time.monotonic() + DEADLINE
        broken = 0
        times.append(answer.milliseconds)
    return requests, times


def _unanswered(edge: Edge, example: Example, missing: set[str], other: str, *, crashed: bool) -> ProofFailed:
    """The replicas had answered /version, so that a request which breaks off is their doing."""
    happened = f"{', '.join(sorted(missing))} did not answer {example.name} at {edge.url}. {other}".strip()
    return ProofFailed(happened, fault="image" if crashed else "infrastructure")


def _require_as_quick(edge: Edge, proof: Proof, slower_than: float) -> None:
    before, now = proof.outgoing, proof.latency
    if before is None or not before.requests or not now.requests:
        return
    if now.median > slower_than * before.median and now.median - before.median >= NOTICEABLE:
        raise ProofFailed(
            f"{edge.url} became too slow: an example takes {now}, the release before took {before}; "
            f"allowed is {slower_than:g} times as long."
        )
