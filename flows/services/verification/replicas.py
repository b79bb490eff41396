"""Ask through the public URL, where the replica cannot be chosen, until every replica has answered.

A load balancer that chooses by connection leads a kept connection to one replica, which is asked there all
that it lacks. No cookies are sent, so that session affinity by cookie does not hold the next connection at
the same replica. Affinity by the client's address does: then the other replicas can't be verified.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flows.core.errors import ProofFailed, TransientError
from flows.core.model.manifest import Example
from flows.core.verification.coverage import Coverage
from flows.core.verification.pods import ReleasedPods
from flows.services.verification import probe
from flows.services.verification.connection import ConnectionClosed, connection
from flows.services.verification.public_endpoint import PublicEndpoint

DEADLINE = 30.0
"""Seconds without an answer, or without a further replica's, after which the asking may end."""

PAUSE = 0.2
"""Seconds until a request without an answer is repeated."""

IN_A_ROW = 3
"""Right answers in a row, for each replica, after the last one from an old replica."""

BETWEEN = (
    "The replicas answer /version: check limits and rules for POST requests in what leads to them, and "
    "whether the replicas crash on this example."
)

BROKEN = 3
"""Examples in a row that break off, of replicas that answered /version: they crash on them."""


@dataclass(frozen=True)
class Asking:
    """Whom to ask, and what to look at between requests: `alive` before each, `settle` after a failed one."""

    edge: PublicEndpoint
    pods: frozenset[str]
    alive: Callable[[], None]
    settle: Callable[[], None]

    def failed(self, failure: ProofFailed) -> None:
        """Raise it where one of the replicas answered wrong; else look at the replicas, and wait a moment."""
        if failure.pod in self.pods:
            raise failure
        self.settle()
        time.sleep(PAUSE)

    def coverage(self, questions: int) -> Coverage:
        """The coverage at the start: no replica has answered any of so many questions."""
        return Coverage(self.pods, questions, DEADLINE, time.monotonic())


def in_trouble_since(before: ReleasedPods, look: Callable[[], ReleasedPods]) -> Callable[[], None]:
    """A check that raises `ProofFailed` once a container has restarted more often than `before` says, or a
    pod was evicted for its own limits."""

    def settle() -> None:
        try:
            trouble = look().trouble_since(before)
        except TransientError:  # the cluster is away for the moment; the requests go on telling
            return
        if trouble:
            happened = f"{trouble.happened} while it was asked."
            raise ProofFailed(happened, trouble.remedy, fault=trouble.fault, pod=trouble.pod)

    return settle


def every_version(asking: Asking, capsule: str) -> int:
    """Requests until each of the replicas had answered /version with this capsule, and no other one did.

    `ProofFailed` at once where one of them answered with another; old replicas have until the asking ends.
    """
    edge, pods = asking.edge, asking.pods
    coverage = asking.coverage(1)
    requests = right = 0
    other = ""
    while right < IN_A_ROW * len(pods) or not coverage.is_complete:
        asking.alive()
        if coverage.is_stalled(time.monotonic()):
            raise _only_one(edge, coverage) if coverage.only_one else _not_all(edge, coverage, other)
        requests += 1
        try:
            answer = probe.version(edge)
        except ProofFailed as failure:
            other, right = failure.happened, 0
            asking.failed(failure)
            continue
        coverage.answered(answer.pod, 0, time.monotonic())
        if answer.capsule == capsule:
            right += 1
            continue
        other, right = f"{answer.pod} answered with capsule {answer.capsule[:12]}", 0
        if answer.pod in pods:
            raise ProofFailed(f"{other}, but {capsule[:12]} was released.", pod=answer.pod)
    return requests


def every_answer(asking: Asking, examples: Sequence[Example]) -> tuple[int, list[float]]:
    """Requests until each of the replicas had answered each of the examples, and their times.

    A server may close a kept connection at any time: the next connection shows whether a replica is at fault.
    """
    coverage, times = asking.coverage(len(examples)), list[float]()
    requests = broken = 0
    last: ProofFailed | None = None
    with connection(asking.edge) as kept:
        while not coverage.is_complete:
            asking.alive()
            question = coverage.wanted
            example = examples[question]
            if broken == BROKEN or coverage.is_stalled(time.monotonic()):
                missing = coverage.lacking(question)
                raise _unanswered(asking.edge, example, missing, last, crashed=broken > 1)
            if not coverage.keeps_connection:
                kept.close()
            requests += 1
            try:
                answer = probe.score(asking.edge, example.input, kept)
            except ConnectionClosed:
                coverage.lost_connection()
                asking.settle()
                continue
            except ProofFailed as failure:
                last = failure
                broken += failure.fault == "image" and not failure.pod
                coverage.lost_connection()
                asking.failed(failure)
                continue
            coverage.answered(answer.pod, question, time.monotonic(), over_kept=answer.over_kept)
            if answer.pod not in asking.pods:
                continue  # an old replica, after all: its model's answers don't matter
            if wrong := example.disagreement(answer.best):
                answered = f"{answer.pod} answers the model's examples wrong: {wrong}."
                raise ProofFailed(answered, pod=answer.pod, answered_wrong=True)
            broken = 0
            times.append(answer.milliseconds)
    return requests, times


def _only_one(edge: PublicEndpoint, coverage: Coverage) -> ProofFailed:
    return ProofFailed(
        f"All {coverage.answers} answers at {edge.url} came from {coverage.only_one}: load balancer or "
        f"Service sends one client to one replica. {', '.join(coverage.lacking(0))} could not be verified.",
        "Remove session affinity by the client's address: set `sessionAffinity: None` in the Service, and "
        "let the load balancer distribute by connection. Affinity by cookie may stay.",
        fault="configuration",
    )


def _not_all(edge: PublicEndpoint, coverage: Coverage, other: str) -> ProofFailed:
    missing = coverage.lacking(0)
    silent = f"{', '.join(missing)} never answered" if missing else "other replicas answer too"
    happened = f"After {coverage.answers} answers at {edge.url}, {silent}. {other.rstrip('.')}"
    return ProofFailed(
        happened.rstrip(". ") + ".",
        "The replicas are ready, so look at what leads to them: DNS, load balancer, Service.",
        fault="infrastructure",
    )


def _unanswered(
    edge: PublicEndpoint,
    example: Example,
    missing: Sequence[str],
    last: ProofFailed | None,
    *,
    crashed: bool,
) -> ProofFailed:
    """The replicas had answered /version: requests that break off, not just one, are their doing. An answer
    that names none of them is the doing of what is between."""
    happened = f"{', '.join(missing)} did not answer {example.name} at {edge.url}."
    if last is not None:
        happened += f" {last.happened}"
    if crashed:
        return ProofFailed(happened)
    advised = last.remedy if last is not None and last.remedy != ProofFailed.advice else BETWEEN
    return ProofFailed(happened, advised, fault="infrastructure")
