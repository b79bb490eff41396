"""What the pods of a release show against it: restarted containers, and evictions by their own limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.core.errors import Fault
from flows.core.rollout.containers import evicted_by_its_limits, lasting_restarts
from flows.core.rollout.snapshot import CONTAINER, Snapshot, new_pods, new_replica_sets

CORRECT_APP = "Read its log in the run's report, correct the application, and release the next image."
CORRECT_CONTAINER = "Read its log, correct the container in the manifests, and release again."
RAISE_LIMIT = "Raise the limit in the manifests, or let the app write less, and release again."


@dataclass(frozen=True)
class Trouble:
    """What happened to a pod, what to do, and what is at fault."""

    pod: str
    happened: str
    remedy: str
    fault: Fault


@dataclass(frozen=True)
class ReleasedPods:
    """The pods of the release, how often each container was restarted, and which pods were evicted, and why.

    `restarts` are by pod and container. `app` is the container that runs the released image; where it is "",
    because the Deployment does not say, every container counts as the app's.
    """

    names: tuple[str, ...] = ()
    restarts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    evicted: Mapping[str, str] = field(default_factory=dict)
    app: str = ""

    def restarted_since(self, earlier: "ReleasedPods") -> list[tuple[str, str, int]]:
        """Pod, container and how much more often it was restarted; a pod that came since began with 0."""
        more = {key: count - earlier.restarts.get(key, 0) for key, count in sorted(self.restarts.items())}
        return [(pod, container, count) for (pod, container), count in more.items() if count > 0]

    def trouble_since(self, earlier: "ReleasedPods") -> Trouble | None:
        """The first thing that speaks against the release since then; restarts of the app come first."""
        again = sorted(self.restarted_since(earlier), key=lambda one: not self._is_app(one[1]))
        for pod, container, _ in again:
            if self._is_app(container):
                return Trouble(pod, f"{pod} restarted", CORRECT_APP, "image")
            happened = f"{container} in {pod}, which is not the app, restarted"
            return Trouble(pod, happened, CORRECT_CONTAINER, "configuration")
        for pod in sorted(self.evicted.keys() - earlier.evicted.keys()):
            return Trouble(pod, f"{pod} was evicted ({self.evicted[pod]})", RAISE_LIMIT, "configuration")
        return None

    def _is_app(self, container: str) -> bool:
        return self.app in {"", container}


def released_pods(snapshot: Snapshot) -> ReleasedPods:
    """The pods of the newest revision."""
    pods = new_pods(snapshot)
    owners = {each["metadata"]["uid"] for each in new_replica_sets(snapshot)}
    return ReleasedPods(
        names=tuple(pod["metadata"]["name"] for pod in pods),
        restarts={
            (pod["metadata"]["name"], container): count
            for pod in pods
            for container, count in lasting_restarts(pod).items()
        },
        evicted={
            pod["metadata"]["name"]: said
            for pod in snapshot.pods
            if (said := evicted_by_its_limits(pod))
            and any(owner["uid"] in owners for owner in pod["metadata"].get("ownerReferences", []))
        },
        app=snapshot.deployment["metadata"].get("annotations", {}).get(CONTAINER, ""),
    )
