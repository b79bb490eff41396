"""One run at a time changes an environment: a Kubernetes Lease in its namespace is the lock.

As in client-go's leader election, a run takes the Lease over only when it has seen it unchanged for its whole
duration, by its own clock: clocks of different machines are never compared. Each acquisition raises the
Lease's `leaseTransitions`; holder and number are the fence that every write carries (fence.py).
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flows.core.errors import (
    ChangedMeanwhile,
    ClusterNotPrepared,
    ClusterUnavailable,
    FenceLost,
    LockedByAnother,
    SlipwayError,
)
from flows.core.local_time import rfc3339
from flows.services.kubernetes.api import not_prepared
from flows.services.kubernetes.cluster import LEASE_DURATION, Cluster
from flows.services.kubernetes.fence import LEASE, LEASES
from flows.services.process.command import Say
from flows.services.process.poll import Waiting, poll

POLL = 0.5
RETRY_PAUSE = 1
"""Seconds between two tries while the server does not answer."""

PATIENCE = 20
"""Seconds for which a server that is away is asked again, also by a run that waits for no other holder."""


@dataclass
class HeldLease:
    """A Lease that this run holds, renewed in the background; `fence` is what its writes carry."""

    cluster: Cluster
    holder: str
    _lease: dict[str, Any]
    _renewed: float = field(default_factory=time.monotonic)
    _mutex: threading.Lock = field(default_factory=threading.Lock)
    _lost: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def fence(self) -> str:
        """`<holder>/<transitions>`, the same from acquisition to release."""
        return f"{self.holder}/{self._transitions}"

    @property
    def _transitions(self) -> int:
        return int(self._lease["spec"]["leaseTransitions"])

    def require_held(self) -> None:
        """Raise `FenceLost` if another run has taken over; asks the server if the last renewal is too old."""
        if time.monotonic() - self._renewed > self.cluster.lease_duration:
            self._renew()
        if self._lost.is_set():
            raise FenceLost(
                f"Another run has taken over {self.cluster.namespace}, or its Lease was deleted.",
                "Do nothing here. The other run continues from where this one stopped.",
            )

    def renew_until_released(self) -> None:
        """Renew until it is released or lost; a server that is away changes nothing about who holds it."""
        pause = self.cluster.lease_duration / 3
        while not self._lost.is_set() and not self._over.wait(pause):
            pause = self.cluster.lease_duration / 3 if self._renew() else min(RETRY_PAUSE, pause)

    def release(self, say: Say) -> None:
        """Give the Lease up, so that the next run can take it at once.

        A server that is away is asked again for as long as the Lease lasts; after that the Lease has expired.
        """
        self._over.set()
        with self._mutex:
            try:
                poll(
                    self._released,
                    timeout=self.cluster.lease_duration,
                    pause=RETRY_PAUSE,
                    late=ClusterUnavailable,
                    on_change=say,
                )
            except SlipwayError as error:
                say(f"The Lease was not released. It expires by itself. {error.happened}")

    def _released(self) -> bool | Waiting:
        try:
            self._write({"holderIdentity": None, "renewTime": _now()})
        except ClusterUnavailable as error:
            return Waiting(f"The Lease of {self.cluster.namespace} can't be released yet: {error.happened}")
        return True

    def _renew(self) -> bool:
        """Whether the server has answered, or there is nothing to renew any more."""
        with self._mutex:
            if self._over.is_set() or self._lost.is_set():
                return True
            try:
                self._write({"renewTime": _now()})
            except SlipwayError:
                return False
            self._renewed = time.monotonic()
            return True

    def _write(self, changes: dict[str, Any]) -> None:
        """Write the changes while this run holds the Lease; another writer's changes to it don't matter."""
        lease = self._lease
        try:
            while _is_held(lease, self.holder, self._transitions):
                try:
                    self._lease = _replace(self.cluster, lease, changes, self.cluster.lease_duration / 3)
                except ChangedMeanwhile:
                    lease = _read(self.cluster)
                else:
                    return
        except ClusterNotPrepared:
            pass  # the Lease was deleted, and the fence with it
        self._lost.set()


@contextmanager
def acquire(
    cluster: Cluster, holder: str, wait: float, say: Say, *, patience: float = PATIENCE
) -> Iterator[HeldLease]:
    """The namespace's Lease, held for as long as the context lasts; released however that ends.

    Waits up to `wait` seconds for another holder, saying for whom, and raises `LockedByAnother` then.
    `ClusterNotPrepared` where there is no Lease, `ClusterUnavailable` where the server stays away for longer
    than `wait` and `patience` seconds.
    """
    held = HeldLease(cluster, holder, _acquire(cluster, holder, wait, patience, say))
    keeper = threading.Thread(
        target=held.renew_until_released, name=f"lease-{cluster.namespace}", daemon=True
    )
    keeper.start()
    try:
        yield held
    finally:
        held.release(say)


@dataclass
class HolderWatch:
    """What a waiting run has seen of the Lease's holder, timed by its own clock.

    A holder has expired when its Lease was seen unchanged for its whole duration. While the server was away
    no holder could renew, so that time does not count.
    """

    holder: str = ""
    is_away: bool = False
    _seen: tuple[object, ...] = ()
    _since: float = 0.0
    _duration: int = LEASE_DURATION

    def look(self, spec: Mapping[str, Any], now: float) -> None:
        """Note the Lease as it is now (monotonic seconds)."""
        self.holder = spec.get("holderIdentity", "")
        self._duration = spec.get("leaseDurationSeconds", LEASE_DURATION)
        if (state := (self.holder, spec.get("leaseTransitions"), spec.get("renewTime"))) != self._seen:
            self._seen, self._since = state, now

    def miss(self) -> None:
        """Note that the server did not answer."""
        self.is_away, self._seen = True, ()

    def has_expired(self, now: float) -> bool:
        """Whether another run may take the Lease over."""
        return now - self._since >= self._duration


def _acquire(cluster: Cluster, holder: str, wait: float, patience: float, say: Say) -> dict[str, Any]:
    """The Lease as taken; where the answer to that was lost, it is found to be ours and taken again."""
    began = time.monotonic()
    deadline, given_up = began + wait, began + max(wait, patience)
    watch, reported = HolderWatch(), ""
    while True:
        try:
            lease, now = _read(cluster), time.monotonic()
            watch.look(lease["spec"], now)
            if watch.holder in ("", holder) or watch.has_expired(now):
                if (taken := _take(cluster, lease, holder)) is not None:
                    return taken
                continue
        except ClusterUnavailable as error:
            if time.monotonic() >= given_up:
                raise
            if not watch.is_away:
                say(f"The Lease of {cluster.namespace} can't be taken yet: {error.happened}")
            watch.miss()
            time.sleep(RETRY_PAUSE)
            continue
        watch.is_away = False
        if now >= deadline:
            raise LockedByAnother(
                f"Run {watch.holder} is at work on {cluster.namespace}; this one waited for {wait:.0f} s.",
                "Start it again when that run is over.",
            )
        if watch.holder != reported:
            say(f"Waiting for run {watch.holder}, which is at work on {cluster.namespace}.")
            reported = watch.holder
        time.sleep(min(POLL, max(deadline - now, 0.01)))


def _take(cluster: Cluster, lease: dict[str, Any], holder: str) -> dict[str, Any] | None:
    """The Lease as taken, or None where another run was quicker."""
    now = _now()
    changes = {
        "holderIdentity": holder,
        "leaseDurationSeconds": cluster.lease_duration,
        "leaseTransitions": lease["spec"].get("leaseTransitions", 0) + 1,
        "acquireTime": now,
        "renewTime": now,
    }
    try:
        return _replace(cluster, lease, changes, cluster.lease_duration)
    except ChangedMeanwhile:
        return None


def _is_held(lease: dict[str, Any], holder: str, transitions: int) -> bool:
    spec = lease["spec"]
    return (spec.get("holderIdentity"), spec.get("leaseTransitions")) == (holder, transitions)


def _read(cluster: Cluster) -> dict[str, Any]:
    lease = cluster.api.get(_path(cluster))
    if lease is None:
        raise not_prepared(f"The namespace {cluster.namespace!r} has no Lease {LEASE!r}.")
    return lease


def _replace(
    cluster: Cluster, lease: dict[str, Any], changes: dict[str, Any], timeout: float
) -> dict[str, Any]:
    spec = {key: value for key, value in {**lease["spec"], **changes}.items() if value is not None}
    written = cluster.api.replace(_path(cluster), {**lease, "spec": spec}, timeout)
    if written is None:
        raise not_prepared(f"The namespace {cluster.namespace!r} has no Lease {LEASE!r}.")
    return written


def _path(cluster: Cluster) -> str:
    return cluster.path(LEASES, "leases", LEASE)


def _now() -> str:
    """With all six digits, which a Lease must have even where they are zeros."""
    return rfc3339(datetime.now(UTC), timespec="microseconds")
