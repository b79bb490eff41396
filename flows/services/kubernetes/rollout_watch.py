"""Watching a rollout to its end, and telling a person why it failed."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

from flows.core.errors import ClusterUnavailable, RolloutFailed
from flows.core.rollout.faults import Failed
from flows.core.rollout.judge import Done, Progressing, judge
from flows.core.rollout.snapshot import (
    EndingPods,
    Object,
    Snapshot,
    containers,
    events_about,
    is_ready,
    new_pods,
    new_replica_sets,
    refusals,
)
from flows.services.kubernetes.cluster import Cluster
from flows.services.process.command import LAST_LINES, Say

POLL = 1.0
"""Seconds between two looks; each is six requests."""

PATIENCE = 120.0
"""Seconds for which an API server that is away is waited for: one that is replaced is back by then."""

QUOTED_LINES = 3
QUOTED_CHARACTERS = 300
AWAY = "the API server does not answer; still waiting"
REMEDY = {
    "image": "Correct the application or its image, and release the next one.",
    "configuration": "Correct the manifests, or what they refer to in the cluster, and release again.",
    "infrastructure": "Look at the cluster's nodes and network, then release again.",
}


def no_check() -> None:
    """An `alive` that never objects."""


def watch(
    cluster: Cluster,
    timeout: float,
    say: Say,
    alive: Callable[[], None] = no_check,
    *,
    patience: float = PATIENCE,
) -> Done:
    """Wait until the rollout is done; `RolloutFailed` explains, before `timeout` (seconds) if it can.

    An API server that does not answer is waited for, and the rollout gets the time back that it was away;
    `ClusterUnavailable` if it stays away for longer than `patience` (seconds). `alive` is called at each
    look, and may raise to end the watch.
    """
    deadline = time.monotonic() + timeout
    reported = ""
    failing_since: float | None = None
    away_since: float | None = None
    ending = EndingPods()
    while True:
        alive()
        looked = time.monotonic()
        try:
            taken = take(cluster)
            lost = ending.lost(taken.pods, looked)
            snapshot = replace(taken, events=cluster.events_of_trouble(), lost=lost)
        except ClusterUnavailable:
            away_since = away_since or looked
            if looked - away_since > patience:
                raise
            news = AWAY
        else:
            if away_since is not None:
                deadline += time.monotonic() - away_since
                away_since = failing_since = None
                ending = EndingPods()  # no node could confirm anything either
            is_last = looked > deadline
            match judge(snapshot):
                case Done() as done:
                    return done
                case Failed() as failed:
                    failing_since = failing_since or time.monotonic()
                    if is_last or time.monotonic() - failing_since >= failed.patience:
                        raise _failure(cluster, snapshot, failed)
                    news = failed.cause
                case Progressing() as progressing:
                    failing_since = None
                    if is_last:
                        raise _late(cluster, snapshot, progressing, timeout)
                    news = progressing.waiting
        if news != reported:
            reported = news
            say(reported)
        time.sleep(POLL)


def take(cluster: Cluster) -> Snapshot:
    """What the cluster says now, without events; `RolloutFailed` if the Deployment was deleted meanwhile."""
    deployment = cluster.find_deployment()
    if deployment is None:
        raise RolloutFailed(
            f"The Deployment {cluster.deployment!r} is not in namespace {cluster.namespace!r}.",
            "It was deleted. Release again.",
        )
    return cluster.snapshot(deployment)


def explain(cluster: Cluster, snapshot: Snapshot) -> str:
    """What was refused, then state, events and last 50 log lines of each new pod."""
    created = new_replica_sets(snapshot)
    lines = [_reason(condition) for condition in refusals(created)]
    try:
        events = cluster.events()
        lines += [_reason(event) for event in events_about(created, events)]
        lines = list(dict.fromkeys(lines))  # a condition comes before its event, which says the same
        lines += [_story(cluster, pod, events) for pod in new_pods(snapshot)]
    except ClusterUnavailable as away:
        lines.append(f"Then the API server was gone: {away}")
    return "\n".join(lines)


def new_pod_names(cluster: Cluster) -> tuple[str, ...]:
    """Names of the newest revision's pods."""
    return tuple(pod["metadata"]["name"] for pod in new_pods(take(cluster)))


def replicas(cluster: Cluster) -> dict[str, bool]:
    """Of each of the newest revision's pods, whether it gets requests."""
    return {pod["metadata"]["name"]: is_ready(pod) for pod in new_pods(take(cluster))}


def restarts(cluster: Cluster) -> dict[str, int]:
    """How often containers of each pod of the newest revision were restarted."""
    return {
        pod["metadata"]["name"]: sum(c["restartCount"] for c in pod["status"].get("containerStatuses", []))
        for pod in new_pods(take(cluster))
    }


def _failure(cluster: Cluster, snapshot: Snapshot, failed: Failed) -> RolloutFailed:
    where = f" (pod {failed.pod})" if failed.pod else ""
    return RolloutFailed(
        f"The rollout can't succeed: {failed.cause.rstrip('.')}{where}.{_last_words(cluster, failed)}",
        REMEDY[failed.fault],
        details=explain(cluster, snapshot),
        fault=failed.fault,
    )


def _late(cluster: Cluster, snapshot: Snapshot, verdict: Progressing, timeout: float) -> RolloutFailed:
    return RolloutFailed(
        f"The rollout was not done within {timeout:.0f} s: {verdict.waiting}.",
        REMEDY[verdict.fault],
        details=explain(cluster, snapshot),
        fault=verdict.fault,
    )


def _last_words(cluster: Cluster, failed: Failed) -> str:
    """The end of the log of the container that failed, else of the one that runs; "" where none ever ran."""
    pod, container = failed.pod, failed.container
    try:
        log = container and (
            _log(cluster, pod, container, previous=True) or _log(cluster, pod, container, previous=False)
        )
    except ClusterUnavailable:
        return ""
    lines = [line.strip() for line in log.splitlines() if line.strip()][-QUOTED_LINES:]
    return f" Its last lines: {' / '.join(lines)[-QUOTED_CHARACTERS:]}." if lines else ""


def _log(cluster: Cluster, pod: str, container: str, *, previous: bool) -> str:
    return cluster.log(pod, container, lines=LAST_LINES, previous=previous)


def _reason(said: Object) -> str:
    return f"{said.get('reason')}: {said.get('message')}"


def _story(cluster: Cluster, pod: Object, events: tuple[Object, ...]) -> str:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    lines = [f"Pod {name}: {status.get('phase')}"]
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        lines.append(f"  container {container['name']}: {json.dumps(container.get('state'))}")
        if container.get("lastState"):
            lines.append(f"  before that: {json.dumps(container['lastState'])}")
    for event in events_about([pod], events):
        lines.append(f"  event {event.get('reason')}: {event.get('message')}")
    for container in containers(pod):
        of = f"container {container.name}"
        for title, previous in ((f"log of {of}", False), (f"log of {of} before", True)):
            if log := _log(cluster, name, container.name, previous=previous):
                lines += [f"  {title}:", *(f"    {line}" for line in log.splitlines())]
    return "\n".join(lines)
