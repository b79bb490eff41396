"""Watching a release for a while under its users' requests: restarts, and answers of 5xx."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from flows.core.errors import PermanentError, ProofFailed, TransientError
from flows.services.command import Say

POLL = 0.5
PATIENCE = 120.0
"""Seconds that the cluster may not be reached: an API server that is replaced is back by then."""

ENOUGH = 20
"""Requests below which the share of errors means nothing."""

ALLOWED = 0.01
"""The share of 5xx above which a release failed. A single one never fails it: it is told."""

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
    def told(self) -> str:
        """The answer: "good", or "too few to tell" where too little was asked for one."""
        return "good" if self.requests >= ENOUGH else "too few to tell"

    def __str__(self) -> str:
        before = f", {self.errors_before} before that" if self.errors_before else ""
        unread = f"; no metrics of {', '.join(self.unread)}" if self.unread else ""
        return (
            f"{self.told}: in {self.seconds:.0f} s {self.errors} of {self.requests} requests answered "
            f"with 5xx{before}, {self.restarts} restarts{unread}"
        )


@dataclass(frozen=True)
class _Counts:
    requests: int = 0
    errors: int = 0


@dataclass(frozen=True)
class _Seen:
    """One look at all replicas."""

    counts: Mapping[str, _Counts]
    restarts: Mapping[str, int]
    unread: Mapping[str, str] = field(default_factory=dict)


def soak(
    read: Callable[[str], str],
    restarts: Callable[[], Mapping[str, int]],
    pods: tuple[str, ...],
    seconds: float,
    *,
    say: Say,
    alive: Callable[[], None],
) -> Soak:
    """Watch `pods` for so many seconds; `ProofFailed` at the first restart, or with too many 5xx.

    `read` gives a pod's metrics as Prometheus' text: its `PermanentError` is told and does not fail the
    release; a `TransientError` of either is waited out for two minutes. `alive` is called at each look.
    """
    first: _Seen | None = None
    started = last = time.monotonic()
    while True:
        alive()
        now = time.monotonic()
        try:
            seen = _look(read, restarts, pods)
        except TransientError as error:
            if now - last > PATIENCE:
                raise
            say(f"Not seen for {now - last:.0f} s: {error}")
        else:
            last = now
            if first is None:
                first, started = seen, now
                for pod, why in seen.unread.items():
                    say(f"{pod} tells no metrics, so its answers are not counted: {why}")
            result = _compared(first, seen, now - started)
            _require_good(result, first, seen)
            if now - started >= seconds:
                say(f"Watched: {result}.")
                return result
        time.sleep(POLL)


def _look(
    read: Callable[[str], str], restarts: Callable[[], Mapping[str, int]], pods: tuple[str, ...]
) -> _Seen:
    counts: dict[str, _Counts] = {}
    unread: dict[str, str] = {}
    for pod in pods:
        try:
            counts[pod] = _counted(read(pod))
        except (PermanentError, ValueError) as error:
            unread[pod] = str(error)
    return _Seen(counts, restarts(), unread)


def _counted(text: str) -> _Counts:
    """`ValueError` where the text is not Prometheus'. A counter that is not there has counted nothing yet."""
    requests = errors = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == COUNTER and sample.labels.get("route") not in OURS:
                requests += sample.value
                errors += sample.value if sample.labels.get("status", "").startswith("5") else 0
    return _Counts(int(requests), int(errors))


def _compared(first: _Seen, now: _Seen, seconds: float) -> Soak:
    both = [(first.counts[pod], counts) for pod, counts in now.counts.items() if pod in first.counts]
    return Soak(
        seconds,
        requests=sum(max(0, later.requests - before.requests) for before, later in both),
        errors=sum(max(0, later.errors - before.errors) for before, later in both),
        restarts=sum(_restarted(first, now).values()),
        errors_before=sum(counts.errors for counts in first.counts.values()),
        unread=tuple(now.unread),
    )


def _restarted(first: _Seen, now: _Seen) -> dict[str, int]:
    more = {pod: count - first.restarts.get(pod, count) for pod, count in now.restarts.items()}
    return {pod: count for pod, count in more.items() if count > 0}


def _require_good(result: Soak, first: _Seen, now: _Seen) -> None:
    if restarted := _restarted(first, now):
        raise ProofFailed(f"{', '.join(sorted(restarted))} restarted while it was watched: {result}.")
    if result.requests >= ENOUGH and result.errors > max(1.0, ALLOWED * result.requests):
        raise ProofFailed(f"Too many requests were answered with 5xx: {result}.")
