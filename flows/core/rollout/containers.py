"""The containers of a pod, as far as they matter to a rollout."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
Place = tuple[str, str]
"""A pod's uid, and the name of one of its containers."""

OVER = ("Succeeded", "Failed")
"""Phases of a pod that has ended: an evicted pod stays on the list for good, and serves no requests."""

OWN_LIMIT = re.compile(r"exceed(s|ed) (the|its) [\w ]*limit")
"""What the kubelet says where it evicts a pod by its own limits: of an emptyDir, of local storage
(kubelet/eviction/helpers.go)."""


@dataclass(frozen=True)
class Past:
    """What happened to pods before a watch began, and therefore says nothing about the watched release.

    `restarts` are those of each container, `over` the uids of the pods that had ended.
    """

    restarts: Mapping[Place, int] = field(default_factory=dict)
    over: frozenset[str] = frozenset()


NOTHING = Past()


@dataclass(frozen=True)
class Container:
    """One container of a pod. `last` and `restarts` are empty where it is ready, or has run without a restart
    since the watch began."""

    name: str
    image: str
    state: Object
    last: Object
    restarts: int = 0
    ready: bool = False
    memory_limit: str = ""
    runs_once: bool = False

    @property
    def waiting(self) -> Object:
        """Why it does not run: `reason` and `message`."""
        return self.state.get("waiting") or {}

    @property
    def crash(self) -> Object:
        """How it ended last, if it should not have ended: only an init container may, with exit code 0."""
        ended = self.state.get("terminated") or self.last.get("terminated") or {}
        return {} if self.runs_once and ended.get("exitCode") == 0 else ended

    @property
    def crashes(self) -> int:
        """How often it has ended."""
        return self.restarts + (1 if self.state.get("terminated") else 0)


def containers(pod: Object, past: Past = NOTHING) -> tuple[Container, ...]:
    """The pod's containers in the order in which they start; none before its node has accepted the pod."""
    return tuple(_container(entry, pod, past, runs_once=once) for entry, once in _statuses(pod))


def lasting_restarts(pod: Object) -> dict[str, int]:
    """Restarts of each container that should run as long as the pod does."""
    return {str(entry["name"]): int(entry["restartCount"]) for entry, once in _statuses(pod) if not once}


def evicted_by_its_limits(pod: Object) -> str:
    """The kubelet's message where it evicted the pod because of the pod's own limits; "" for other pods."""
    status = pod.get("status", {})
    said = str(status.get("message", "")).strip().rstrip(".")
    return said if status.get("reason") == "Evicted" and OWN_LIMIT.search(said) else ""


def past_of(pods: Iterable[Object]) -> Past:
    """The restarts of these pods until now, and which of them have ended."""
    known = tuple(pods)
    restarts = {
        (str(pod["metadata"]["uid"]), str(entry["name"])): int(entry.get("restartCount", 0))
        for pod in known
        for entry, _ in _statuses(pod)
    }
    ended = (pod for pod in known if pod.get("status", {}).get("phase") in OVER)
    return Past(restarts, frozenset(str(pod["metadata"]["uid"]) for pod in ended))


def _statuses(pod: Object) -> Iterator[tuple[Object, bool]]:
    """The status of each container, and whether the container is to run once."""
    specs = pod.get("spec", {}).get("initContainers") or []
    sidecars = {spec["name"] for spec in specs if spec.get("restartPolicy") == "Always"}
    status = pod.get("status", {})
    for entry in status.get("initContainerStatuses") or []:
        yield entry, entry["name"] not in sidecars
    for entry in status.get("containerStatuses") or []:
        yield entry, False


def _container(entry: Object, pod: Object, past: Past, *, runs_once: bool) -> Container:
    spec = pod.get("spec", {})
    specs = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    limits = [s.get("resources", {}).get("limits", {}) for s in specs if s["name"] == entry["name"]]
    ready, state = bool(entry.get("ready")), entry.get("state", {})
    before = past.restarts.get((str(pod["metadata"].get("uid")), str(entry["name"])), 0)
    more = max(0, entry.get("restartCount", 0) - before)
    is_past = ready or (not more and bool(state.get("running")))
    return Container(
        name=entry["name"],
        image=entry["image"],
        state=state,
        last={} if is_past else entry.get("lastState", {}),
        restarts=0 if is_past else more,
        ready=ready,
        memory_limit=str(limits[0].get("memory", "")) if limits else "",
        runs_once=runs_once,
    )
