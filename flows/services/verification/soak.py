"""Watching a release for a while under its users' requests: restarts, and answers of 5xx."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from flows.core.errors import PermanentError, ProofFailed, TransientError
from flows.services.process.command import Say

POLL = 0.5
PATIENCE = 120.0
"""Seconds for which a cluster that is away is waited for: an API server that is replaced is back by then."""

ENOUGH = 20
"""Requests below which the share of errors means nothing."""

ALLOWED = 0.01
"""The share of 5xx above which a release failed. A single one never fails it, and is reported."""

COUNTER = "http_requests_total"
OURS = {"/healthz", "/readyz", "/metrics", "/version"}
"""Routes that the platform asks: no user does, and a 503 of /readyz before the start is no error."""


@dataclass(frozen=True)
class Soak:
    """What was seen in so many seconds: users' requests, how many were answered with 5xx, restarts.

    `errors_before` are the same replicas' 5xx since they started; of those `unread`, metrics can't be had.
    """

    seconds: float
    requests: int
    errors: int
    restarts: int
    errors_before: int = 0
    unread: tuple[str, ...] = ()

    @property
    def as_text(self) -> str:
        """The answer: "good", or "too few to tell" where too little was asked for one."""
        return "good" if self.requests >= ENOUGH else "too few to tell"

    def __str__(self) -> str:
        before = f", {self.errors_before} before that" if self.errors_before else ""
        unread = f"; no metrics of {', '.join(self.unread)}" if self.unread else ""
        return (
            f"{self.as_text}: in {self.seconds:.0f} s {self.errors} of {self.requests} requests answered "
            f"with 5xx{before}, {self.restarts} restarts{unread}"
        )


@dataclass(frozen=True)
class _Counts:
    requests: int = 0
    errors: int = 0


def soak(
    read: Callable[[str], str],
    restarts: Callable[[], Mapping[str, int]],
    pods: tuple[str, ...],
    seconds: float,
    *,
    say: Say,
    alive: Callable[[], None],
    patience: float = PATIENCE,
) -> Soak:
    """Watch `pods` for so many seconds; `ProofFailed` at the first restart, or with too many 5xx.

    `read` gives a pod's metrics as Prometheus' text: "" and errors are reported and do not fail the release.
    If `restarts` can't reach the cluster, it is called again for `patience` seconds. Each round calls
    `alive`.
    """
    watch: _Watch | None = None
    started = last = time.monotonic()
    away = False
    while True:
        alive()
        now = time.monotonic()
        try:
            restarted = restarts()
        except TransientError as error:
            if now - last > patience:
                raise
            if not away:
                say(f"Watching waits for the cluster. {error}")
            away = True
        else:
            last, away = now, False
            if watch is None:
                watch, started = _Watch(restarted, say), now
            result = watch.seen(now - started, restarted, {pod: _read(read, pod) for pod in pods})
            if now - started >= seconds:
                say(f"Watched: {result}.")
                return result
        time.sleep(POLL)


@dataclass(frozen=True)
class _Watch:
    """What all looks together tell; a pod's counts are the last that could be read."""

    restarts: Mapping[str, int]
    say: Say
    first: dict[str, _Counts] = field(default_factory=dict)
    latest: dict[str, _Counts] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)

    def seen(
        self, seconds: float, restarts: Mapping[str, int], counts: Mapping[str, "_Counts | str"]
    ) -> Soak:
        """The result so far; `ProofFailed` where that is enough."""
        for pod, read in counts.items():
            if isinstance(read, _Counts):
                self.first.setdefault(pod, read)
                self.latest[pod] = read
            elif pod not in self.unread:
                self.unread.add(pod)
                self.say(f"{pod} has no readable metrics, so its answers are not counted: {read}")
        restarted = {
            pod: more
            for pod, count in restarts.items()
            if (more := count - self.restarts.get(pod, 0)) > 0  # one that came since starts from none
        }
        both = [(self.first[pod], latest) for pod, latest in self.latest.items()]
        result = Soak(
            seconds,
            requests=sum(max(0, latest.requests - first.requests) for first, latest in both),
            errors=sum(max(0, latest.errors - first.errors) for first, latest in both),
            restarts=sum(restarted.values()),
            errors_before=sum(first.errors for first in self.first.values()),
            unread=tuple(sorted(self.unread - self.latest.keys())),
        )
        if restarted:
            raise ProofFailed(f"{', '.join(sorted(restarted))} restarted while it was watched: {result}.")
        if result.requests >= ENOUGH and result.errors > max(1.0, ALLOWED * result.requests):
            raise ProofFailed(f"Too many requests were answered with 5xx: {result}.")
        return result


def _read(read: Callable[[str], str], pod: str) -> "_Counts | str":
    """What the pod has counted, or why that is not known."""
    try:
        text = read(pod)
        return _counted(text) if text else "it has no /metrics, or is gone."
    except (PermanentError, TransientError, ValueError) as error:
        return str(error)


def _counted(text: str) -> _Counts:
    """`ValueError` where the text is not Prometheus'. A counter that is not there has counted nothing yet."""
    requests = errors = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == COUNTER and sample.labels.get("route") not in OURS:
                requests += sample.value
                errors += sample.value if sample.labels.get("status", "").startswith("5") else 0
    return _Counts(int(requests), int(errors))
