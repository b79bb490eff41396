"""Ask through the public URL, where the replica cannot be chosen, until every replica has answered."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from flows.core.errors import ProofFailed, TransientError
from flows.core.model.manifest import Example
from flows.services.verification import probe
from flows.services.verification.public_endpoint import PublicEndpoint

DEADLINE = 30.0
"""Seconds for every replica to have answered /version, and then for a further one to answer an example."""

PAUSE = 0.2
"""Seconds until a request without an answer is repeated."""

IN_A_ROW = 3
"""Right answers in a row, for each replica, after the last one from an old replica."""

BROKEN = 3
"""Examples in a row that end without an answer, of replicas that answered /version: they crash on them."""


@dataclass(frozen=True)
class Asking:
    """Whom to ask, and what to look at between requests: `alive` before each, `settle` after a failed one."""

    edge: PublicEndpoint
    pods: frozenset[str]
    alive: Callable[[], None]
    settle: Callable[[], None]

    def failed(self, failure: ProofFailed) -> None:
        """Raises where that is final: one of the replicas answered wrong, or restarted; else waits."""
        if failure.pod in self.pods:
            raise failure
        self.settle()
        time.sleep(PAUSE)


def restarted_since(
    before: Mapping[str, int], restarts: Callable[[], Mapping[str, int]]
) -> Callable[[], None]:
    """What raises `ProofFailed` once any pod has restarted more often than `before` says."""

    def settle() -> None:
        try:
            now = restarts()
        except TransientError:  # the cluster is away for the moment; the requests go on telling
            return
        if again := sorted(pod for pod, count in now.items() if count > before.get(pod, 0)):
            raise ProofFailed(f"{', '.join(again)} restarted while it was asked.", pod=again[0])

    return settle


def every_version(asking: Asking, capsule: str) -> int:
    """Requests until each of the replicas had answered /version with this capsule, and no other one did.

    `ProofFailed` at once where one of them answered with another; old replicas have until the deadline to go.
    """
    deadline = time.monotonic() + DEADLINE
    edge, pods = asking.edge, asking.pods
    seen: set[str] = set()
    requests = right = 0
    other = ""
    while right < IN_A_ROW * len(pods) or not pods <= seen:
        asking.alive()
        if time.monotonic() > deadline:
            raise _not_all(edge, pods - seen, other)
        requests += 1
        try:
            answer = probe.version(edge)
        except ProofFailed as failure:
            other, right = failure.happened, 0
            asking.failed(failure)
            continue
        if answer.capsule == capsule:
            seen.add(answer.pod)
            right += 1
            continue
        other, right = f"{answer.pod} answered with capsule {answer.capsule[:12]}", 0
        if answer.pod in pods:
            raise ProofFailed(f"{other}, but {capsule[:12]} was released.", pod=answer.pod)
    return requests


def _not_all(edge: PublicEndpoint, missing: Collection[str], other: str) -> ProofFailed:
    silent = f"{', '.join(sorted(missing))} never answered" if missing else "other replicas answer too"
    happened = f"After {DEADLINE:g} s at {edge.url}, {silent}. {other.rstrip('.')}".rstrip(". ") + "."
    return ProofFailed(
        happened,
        "The replicas are ready, so look at what leads to them: DNS, load balancer, Service.",
        fault="infrastructure",
    )


def every_answer(asking: Asking, example: Example) -> tuple[int, list[float]]:
    """Requests until each of the replicas had answered the example, and their times."""
    deadline = time.monotonic() + DEADLINE
    missing, times = set(asking.pods), list[float]()
    requests = broken = 0
    other = ""
    while missing:
        asking.alive()
        if broken == BROKEN or time.monotonic() > deadline:
            raise _unanswered(asking.edge, example, missing, other, crashed=broken > 0)
        requests += 1
        try:
            answer = probe.score(asking.edge, example.input)
        except ProofFailed as failure:
            other = failure.happened
            broken += failure.fault == "image" and not failure.pod
            asking.failed(failure)
            continue
        if answer.pod not in asking.pods:
            continue  # an old replica, after all: its model's answers don't matter
        if wrong := example.disagreement(answer.best):
            raise ProofFailed(f"{answer.pod} answers the model's examples wrong: {wrong}.", pod=answer.pod)
        if answer.pod in missing:
            missing.remove(answer.pod)
            deadline = time.monotonic() + DEADLINE
        broken = 0
        times.append(answer.milliseconds)
    return requests, times


def _unanswered(
    edge: PublicEndpoint, example: Example, missing: Collection[str], other: str, *, crashed: bool
) -> ProofFailed:
    """The replicas had answered /version, so that a request which breaks off is their doing."""
    happened = f"{', '.join(sorted(missing))} did not answer {example.name} at {edge.url}. {other}".strip()
    return ProofFailed(happened, fault="image" if crashed else "infrastructure")
