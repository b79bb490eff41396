"""Watching a rollout to its end, and explaining to a person why it failed."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from flows.core.errors import ClusterUnavailable, RolloutFailed
from flows.core.rollout.clock import RolloutClock
from flows.core.rollout.containers import Past, containers, past_of
from flows.core.rollout.faults import TROUBLE
from flows.core.rollout.room import telling_events
from flows.core.rollout.snapshot import (
    EndingPods,
    Object,
    Snapshot,
    ended_pods,
    events_about,
    is_ready,
    new_pods,
    new_replica_sets,
    refusals,
)
from flows.core.rollout.verdict import Done, Failed, Progressing, RolloutState
from flows.core.rollout.workloads import is_watched, judge_each, title, together
from flows.core.verification.pods import ReleasedPods, released_pods
from flows.services.kubernetes.cluster import Cluster, released_image
from flows.services.process.command import LAST_LINES, Say

POLL = 1.0
"""Seconds between two looks; each is five requests, and up to three more for each further workload."""

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


@dataclass
class _Observer:
    """What one watch remembers from look to look: pods that are ending, and what was past when it began."""

    cluster: Cluster
    others: Sequence[Object]
    ending: EndingPods = field(default_factory=EndingPods)
    past: Past | None = None

    def look(self, now: float) -> tuple[Snapshot, ...]:
        """The app's Deployment first, then the others that are there."""
        app = take(self.cluster)
        image = released_image(app.deployment)
        seen = (app, *(one for item in self.others if (one := _taken(self.cluster, item, image))))
        pods = tuple(pod for one in seen for pod in one.pods)
        self.past = past_of(pods) if self.past is None else self.past
        lost = self.ending.lost(pods, now)
        seen = tuple(replace(one, lost=lost, past=self.past) for one in seen)
        telling = dict.fromkeys(selector for one in seen for selector in telling_events(one))
        events = self.cluster.events_of([*TROUBLE, *telling])
        return tuple(replace(one, events=events) for one in seen)


def watch(
    cluster: Cluster,
    timeout: float,
    say: Say,
    alive: Callable[[], None] = no_check,
    *,
    objects: Sequence[Object] = (),
    room_within: float = 0,
    patience: float = PATIENCE,
) -> Done:
    """Wait until the rollout is done; `RolloutFailed` explains, before `timeout` (seconds) if it can.

    Of `objects`, further Deployments and Jobs are judged with the app's Deployment. While room or an image is
    on its way, the rollout gets that time back, up to `room_within` seconds. An API server that does not
    answer is waited for, and the rollout gets that time back too; `ClusterUnavailable` if it stays away for
    longer than `patience` (seconds). `alive` is called at each look, and may raise to end the watch.
    """
    clock = RolloutClock(timeout, room_within, time.monotonic())
    observer = _Observer(cluster, [one for one in objects if is_watched(one) and not _is_app(one, cluster)])
    reported = ""
    away_since: float | None = None
    while True:
        alive()
        looked = time.monotonic()
        try:
            seen = observer.look(looked)
        except ClusterUnavailable:
            away_since = away_since or looked
            if looked - away_since > patience:
                raise
            observer.ending = EndingPods()  # no node could confirm anything either
            news = AWAY
        else:
            if away_since is not None:
                clock.was_away(away_since, looked)
                away_since = None
            states = judge_each(seen)
            state = _together(seen, states)
            uids = frozenset(str(pod["metadata"]["uid"]) for one in seen for pod in one.pods)
            if clock.ends(state, uids, looked):
                return _ended(cluster, seen, states, state, clock)
            news = state.cause if isinstance(state, Failed) else _waiting(state)
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
    created, pods = new_replica_sets(snapshot), [*new_pods(snapshot), *ended_pods(snapshot)]
    lines = [_reason(condition) for condition in refusals(created)]
    try:
        events = cluster.events()
        lines += [_reason(event) for event in events_about(created, events)]
        lines = list(dict.fromkeys(lines))  # a condition comes before its event, which says the same
        lines += [_story(cluster, pod, events) for pod in pods]
    except ClusterUnavailable as away:
        lines.append(f"Then the API server was gone: {away}")
    return "\n".join(lines)


def replicas(cluster: Cluster) -> dict[str, bool]:
    """Of each of the newest revision's pods, whether it gets requests."""
    return {pod["metadata"]["name"]: is_ready(pod) for pod in new_pods(take(cluster))}


def look(cluster: Cluster) -> ReleasedPods:
    """The pods of the newest revision, their containers' restarts, and evictions."""
    return released_pods(take(cluster))


def _is_app(item: Object, cluster: Cluster) -> bool:
    return bool(item["kind"] == "Deployment" and item["metadata"]["name"] == cluster.deployment)


def _taken(cluster: Cluster, item: Object, image: str) -> Snapshot | None:
    """What the cluster says of another workload; None of a Job that has ended and was removed."""
    found = cluster.workload(item, image)
    if found is None and not (item["kind"] == "Job" and "ttlSecondsAfterFinished" in item["spec"]):
        name = f"{item['kind']} {item['metadata']['name']}"
        raise RolloutFailed(
            f"The {name} is not in namespace {cluster.namespace!r}.", "It was deleted. Release again."
        )
    return found


def _together(seen: tuple[Snapshot, ...], states: list[RolloutState]) -> RolloutState:
    others = zip(seen[1:], states[1:], strict=True)
    return together(states[0], [(title(snapshot), state) for snapshot, state in others])


def _waiting(state: RolloutState) -> str:
    return state.waiting if isinstance(state, Progressing) else ""


def _ended(
    cluster: Cluster,
    seen: tuple[Snapshot, ...],
    states: list[RolloutState],
    state: RolloutState,
    clock: RolloutClock,
) -> Done:
    """The end of a watch: `RolloutFailed`, explained by each workload that is not done."""
    if isinstance(state, Done):
        return state
    open_ones = (one for one, its in zip(seen, states, strict=True) if not isinstance(its, Done))
    details = "\n".join(explain(cluster, one) for one in open_ones)
    raise (_failure(cluster, details, state) if isinstance(state, Failed) else _late(details, state, clock))


def _failure(cluster: Cluster, details: str, failed: Failed) -> RolloutFailed:
    where = f" (pod {failed.pod})" if failed.pod else ""
    return RolloutFailed(
        f"The rollout can't succeed: {failed.cause.rstrip('.')}{where}.{_last_words(cluster, failed)}",
        failed.remedy or REMEDY[failed.fault],
        details=details,
        fault=failed.fault,
    )


def _late(details: str, verdict: Progressing, clock: RolloutClock) -> RolloutFailed:
    waited = f", and {clock.waited:.0f} s for room or images to come" if clock.waited >= 1 else ""
    return RolloutFailed(
        f"The rollout was not done within {clock.timeout:.0f} s{waited}: {verdict.waiting}.",
        REMEDY[verdict.fault],
        details=details,
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
        for heading, previous in ((f"log of {of}", False), (f"log of {of} before", True)):
            if log := _log(cluster, name, container.name, previous=previous):
                lines += [f"  {heading}:", *(f"    {line}" for line in log.splitlines())]
    return "\n".join(lines)
