"""Watching a rollout to its end, and telling a person why it failed."""

import json
import time

from flows.core.errors import RolloutFailed
from flows.core.rollout import Done, Failed, Object, Progressing, Snapshot, Verdict, judge, new_pods
from flows.services.cluster import Cluster
from flows.services.command import LAST_LINES, Say

POLL = 0.3


def watch(cluster: Cluster, timeout: float, say: Say) -> Done:
    """Wait until the rollout is done; `RolloutFailed` explains, before `timeout` (seconds) if it can."""
    deadline = time.monotonic() + timeout
    told = ""
    while True:
        snapshot = take(cluster)
        verdict = judge(snapshot)
        if isinstance(verdict, Done):
            return verdict
        if isinstance(verdict, Failed) or time.monotonic() > deadline:
            raise RolloutFailed(_happened(verdict, timeout), details=explain(cluster, snapshot))
        if verdict.waiting != told:
            told = verdict.waiting
            say(told)
        time.sleep(POLL)


def take(cluster: Cluster) -> Snapshot:
    """What the cluster says now; `RolloutFailed` where somebody deleted the Deployment meanwhile."""
    deployment = cluster.found()
    if deployment is None:
        raise RolloutFailed(
            f"The Deployment {cluster.deployment!r} is not in namespace {cluster.namespace!r}.",
            "Somebody deleted it; release again.",
        )
    return cluster.snapshot(deployment)


def explain(cluster: Cluster, snapshot: Snapshot) -> str:
    """State, events and last 50 log lines of each new pod."""
    return "\n".join(_story(cluster, pod, snapshot.events) for pod in new_pods(snapshot))


def _happened(verdict: Verdict, timeout: float) -> str:
    match verdict:
        case Failed(cause, pod):
            return f"The rollout can't succeed: {cause}{f' (pod {pod})' if pod else ''}."
        case Progressing(waiting):
            return f"The rollout was not done within {timeout:.0f} s: {waiting}."
        case Done():
            return "The rollout is done."


def _story(cluster: Cluster, pod: Object, events: tuple[Object, ...]) -> str:
    name = pod["metadata"]["name"]
    lines = [f"Pod {name}: {pod['status'].get('phase')}"]
    for container in pod["status"].get("containerStatuses", []):
        lines.append(f"  container {container['name']}: {json.dumps(container.get('state'))}")
        if container.get("lastState"):
            lines.append(f"  before that: {json.dumps(container['lastState'])}")
    for event in events:
        if event.get("involvedObject", {}).get("name") == name:
            lines.append(f"  event {event.get('reason')}: {event.get('message')}")
    for title, previous in (("its log", False), ("log of the container before", True)):
        if log := cluster.log(name, lines=LAST_LINES, previous=previous):
            lines += [f"  {title}:", *(f"    {line}" for line in log.splitlines())]
    return "\n".join(lines)


def new_pod_names(cluster: Cluster) -> tuple[str, ...]:
    """Names of the newest revision's pods."""
    return tuple(pod["metadata"]["name"] for pod in new_pods(take(cluster)))
