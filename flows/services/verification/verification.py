"""Proving a release the way its users would see it: through the public URL."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from flows.core.errors import ProofFailed
from flows.core.model.manifest import ModelManifest
from flows.core.verification.pods import ReleasedPods
from flows.services.process.command import Say
from flows.services.process.patience import API_PATIENCE, Patience
from flows.services.verification import probe
from flows.services.verification.public_endpoint import PublicEndpoint
from flows.services.verification.replicas import Asking, every_answer, every_version, in_trouble_since

NOTICEABLE = 250.0
"""Milliseconds that a slower median must at least add: less is noise of the machines."""

MEASURED_FOR = 60.0
"""Seconds after which no further request is sent to measure the outgoing release."""

AGAIN = 2
"""How often a verification starts again because replicas have gone: a drained node takes all of its own."""


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


def measure(edge: PublicEndpoint, manifest: ModelManifest, rounds: int) -> Latency:
    """How quickly the live release answers the model's examples, each asked `rounds` times.

    Whether the answers are right is not looked at, as they are another model's. What is not answered does not
    count: a release may be what repairs it. A slow release is asked less often, for `MEASURED_FOR` seconds.
    """
    times: list[float] = []
    until = time.monotonic() + MEASURED_FOR
    for example in manifest.examples * rounds:
        if time.monotonic() > until:
            break
        try:
            times.append(probe.score(edge, example.input).milliseconds)
        except ProofFailed:
            continue
    return Latency.of(times)


def verify_replicas(
    edge: PublicEndpoint,
    replicas: Callable[[], Mapping[str, bool]],
    capsule: str,
    manifest: ModelManifest,
    *,
    outgoing: Latency | None,
    slower_than: float,
    say: Say,
    alive: Callable[[], None],
    look: Callable[[], ReleasedPods] = ReleasedPods,
    patience: float = API_PATIENCE,
) -> Proof:
    """Every replica answers with this capsule, none with another, and each example right and in time.

    `ProofFailed` names who answered wrong, or was never reached, and whose fault it is. `replicas` says which
    pods there are now, and of each whether it gets requests: where one that was asked has gone, as with its
    node, those that are there now are asked. Any other is an old replica that is on its way out, which may
    take until the asking ends. The median may be `slower_than` times the outgoing release's. `alive` is
    called before each request, and may raise. `look` says what the pods went through: one that restarts under
    the requests fails the release, also if the load balancer only says that no replica is there. A request to
    the API server that is lost is repeated, for `patience` seconds in all, and the proof goes on.
    """
    waiting = Patience(say, alive, patience)
    settle = in_trouble_since(waiting.wait_out(look), look)
    pods = frozenset(waiting.wait_out(replicas))
    tries = 0
    while True:
        tries += 1
        try:
            proof = _seen(Asking(edge, pods, alive, settle), capsule, manifest, outgoing, say)
            _require_as_quick(edge, proof, slower_than)
        except ProofFailed as failure:
            now = waiting.wait_out(replicas)
            gone = sorted(pods - now.keys())
            if not gone or failure.pod in now or tries > AGAIN:
                raise
            say(f"{', '.join(gone)} went while they were asked, so those that are there now are. {failure}")
            pods = frozenset(pod for pod, ready in now.items() if ready or pod in pods) or frozenset(now)
        else:
            return proof


def _seen(asking: Asking, capsule: str, manifest: ModelManifest, outgoing: Latency | None, say: Say) -> Proof:
    edge, pods = asking.edge, asking.pods
    if not pods:
        raise ProofFailed(f"There is no replica to ask at {edge.url}.", fault="infrastructure")
    requests = every_version(asking, capsule)
    say(f"All {len(pods)} replicas answered at {edge.url} with {capsule[:12]}, in {requests} requests.")
    asked, times = every_answer(asking, manifest.examples)
    requests += asked
    proof = Proof(requests, len(manifest.examples), Latency.of(times), outgoing)
    say(f"Proven at {edge.url}: {proof}.")
    return proof


def _require_as_quick(edge: PublicEndpoint, proof: Proof, slower_than: float) -> None:
    before, now = proof.outgoing, proof.latency
    if before is None or not before.requests or not now.requests:
        return
    if now.median > slower_than * before.median and now.median - before.median >= NOTICEABLE:
        raise ProofFailed(
            f"{edge.url} became too slow: an example takes {now}, the release before took {before}; "
            f"allowed is {slower_than:g} times as long."
        )
