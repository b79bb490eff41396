"""Watching a release for a while under its users' requests: restarts, evictions, and answers of 5xx."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

from prometheus_client.parser import text_string_to_metric_families

from flows.core.errors import PermanentError, ProofFailed, TransientError
from flows.core.verification.error_rate import NO_ANSWERS, UNKNOWN, Answers, Evidence, Outgoing
from flows.core.verification.pods import ReleasedPods
from flows.services.process.command import Say

POLL = 1.0
"""Seconds between two looks. Errors of one look may have one cause: they are weighed together."""

PATIENCE = 120.0
"""Seconds for which a cluster that is away is waited for: an API server that is replaced is back by then."""

COUNTED_FOR = 30.0
"""Seconds after which no further replica of the outgoing release is read."""

ENOUGH = 20
"""Requests below which the share of errors means nothing."""

QUOTED = 200
"""Characters of a complaint about metrics: they are what a pod wrote."""

COUNTER = "http_requests_total"
OURS = {"/healthz", "/readyz", "/metrics", "/version"}
"""Routes that the platform asks: no user does, and a 503 of /readyz before the start is no error."""


@dataclass(frozen=True)
class Soak:
    """What was seen in so many seconds: users' requests, how many were answered with 5xx, restarts.

    `before` is what the release before answered, and `at_start` what these replicas had answered when the
    watch began. `unread` are the pods whose metrics could not be read.
    """

    seconds: float
    answers: Answers
    restarts: int
    before: Outgoing = UNKNOWN
    at_start: Answers = NO_ANSWERS
    unread: tuple[str, ...] = ()

    @property
    def as_text(self) -> str:
        """The result: "good", or "too few to tell" after fewer than `ENOUGH` requests."""
        return "good" if self.answers.requests >= ENOUGH else "too few to tell"

    def __str__(self) -> str:
        start = f", {self.at_start.errors} before that" if self.at_start.errors else ""
        unread = f"; no metrics of {', '.join(self.unread)}" if self.unread else ""
        rate = f"{self.answers.errors} of {self.answers.requests} requests answered with 5xx{start}"
        compared = f"{self.before}; {100 * self.before.tolerated:.2g} % is tolerated"
        return (
            f"{self.as_text}: in {self.seconds:.0f} s {rate} ({compared}), {self.restarts} restarts{unread}"
        )


Pods = Callable[[], ReleasedPods]
Read = Callable[[str], str]
"""Gives a pod's metrics as Prometheus' text: "" and errors are reported, and fail no release."""


def soak(
    read: Read,
    pods: Pods,
    seconds: float,
    *,
    before: Outgoing = UNKNOWN,
    say: Say,
    alive: Callable[[], None],
    patience: float = PATIENCE,
) -> Soak:
    """Watch the release for so many seconds; `ProofFailed` at the first restart of a container, the first
    eviction by a pod's own limits, or once 5xx have become more frequent than `before`.

    If `pods` can't reach the cluster, it is called again for `patience` seconds. Each round calls `alive`.
    """
    watch: _Watch | None = None
    started = last = time.monotonic()
    away = False
    while True:
        alive()
        now = time.monotonic()
        try:
            there = pods()
        except TransientError as error:
            if now - last > patience:
                raise
            if not away:
                say(f"Watching waits for the cluster. {error}")
            away = True
        else:
            last, away = now, False
            if watch is None:
                watch, started = _Watch(there, before, say), now
            result = watch.seen(now - started, there, {pod: _read(read, pod) for pod in there.names})
            if now - started >= seconds:
                say(f"Watched: {result}.")
                return result
        time.sleep(POLL)


def count_outgoing(read: Read, pods: Iterable[str], seconds: float) -> Outgoing:
    """What these pods have answered since they started, and within so many seconds from now.

    Those that can't be read count nothing. A few of them tell as much: no further one is read after
    `COUNTED_FOR`.
    """
    first = dict(_counts(read, pods))
    time.sleep(seconds)
    second = dict(_counts(read, first))
    lately = (second[pod].since(first[pod]) for pod in second)
    return Outgoing(sum((first | second).values(), NO_ANSWERS), sum(lately, NO_ANSWERS))


def _counts(read: Read, pods: Iterable[str]) -> Iterator[tuple[str, Answers]]:
    until = time.monotonic() + COUNTED_FOR
    for pod in takewhile(lambda _: time.monotonic() < until, pods):
        if isinstance(counted := _read(read, pod), Answers):
            yield pod, counted


@dataclass
class _Watch:
    """What all looks together tell; a pod's counts are the last that could be read."""

    first: ReleasedPods
    before: Outgoing
    say: Say
    answers: Answers = NO_ANSWERS
    at_start: Answers = NO_ANSWERS
    latest: dict[str, Answers] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.evidence = Evidence(self.before.tolerated)

    def seen(self, seconds: float, there: ReleasedPods, counts: Mapping[str, "Answers | str"]) -> Soak:
        """The result so far; `ProofFailed` where that is enough."""
        answered = sum((self._more(pod, read) for pod, read in counts.items()), NO_ANSWERS)
        self.evidence.look(answered)
        self.answers += answered
        result = Soak(
            seconds,
            self.answers,
            restarts=sum(more for _, _, more in there.restarted_since(self.first)),
            before=self.before,
            at_start=self.at_start,
            unread=tuple(sorted(self.unread - self.latest.keys())),
        )
        if trouble := there.trouble_since(self.first):
            happened = f"{trouble.happened} while it was watched: {result}."
            raise ProofFailed(happened, trouble.remedy, fault=trouble.fault, pod=trouble.pod)
        if self.evidence.is_worse:
            raise ProofFailed(
                f"Requests are answered with 5xx more often than before: {result}.",
                "Find the errors in the replicas' logs, correct the application, and release the next image.",
            )
        return result

    def _more(self, pod: str, read: "Answers | str") -> Answers:
        """What the pod has answered since it was read last; one that came since the first look, in all."""
        if isinstance(read, str):
            if pod not in self.unread:
                self.unread.add(pod)
                self.say(f"{pod} has no readable metrics, so its answers are not counted: {read}")
            return NO_ANSWERS
        earlier = self.latest.get(pod)
        self.latest[pod] = read
        if earlier is not None:
            return read.since(earlier)
        if pod not in self.first.names:
            return read
        self.at_start += read
        return NO_ANSWERS


def _read(read: Read, pod: str) -> "Answers | str":
    """What the pod has counted, or why that is not known."""
    try:
        text = read(pod)
        return _counted(text) if text else "it has no /metrics, or is gone."
    except (PermanentError, TransientError) as error:
        return str(error)
    except (ValueError, OverflowError) as error:  # which quote what they could not read
        return (str(error) or type(error).__name__)[:QUOTED]


def _counted(text: str) -> Answers:
    """`ValueError` where the text is not Prometheus', `OverflowError` where it counts to infinity.

    A counter that is not there has counted nothing yet.
    """
    requests = errors = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == COUNTER and sample.labels.get("route") not in OURS:
                requests += sample.value
                errors += sample.value if sample.labels.get("status", "").startswith("5") else 0
    return Answers(int(requests), int(errors))
