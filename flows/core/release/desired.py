"""What is sent to the server for an object of a release. Replicas and a pause depend on what is there."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flows.core.errors import ManifestsRejected
from flows.core.release.kinds import autoscalers
from flows.core.release.record import Object
from flows.core.rollout.judge import paused_by

OURS = "slipway"
"""Our field manager."""


@dataclass(frozen=True)
class Desired:
    """An object to apply; `takes_replicas` where a writer that is no autoscaler has set other replicas."""

    item: Object
    takes_replicas: bool = False

    @property
    def without_replicas(self) -> Object:
        """The object without the field `replicas`."""
        return _without_replicas(self.item)


def scaled_by(objects: Iterable[Object]) -> dict[str, Object]:
    """The autoscalers among the objects, by the name of the Deployment that each scales."""
    found: dict[str, Object] = {}
    for item in autoscalers(objects):
        target = item["spec"].get("scaleTargetRef", {})
        if target.get("kind", "Deployment") == "Deployment" and target.get("name"):
            found[target["name"]] = item
    return found


def asleep(deployment: Object, autoscaler: Object | None) -> str:
    """Which ScaledObject has scaled the Deployment to zero; "" where none has.

    KEDA makes a HorizontalPodAutoscaler for each, which never scales to zero itself.
    """
    if autoscaler is None or deployment["spec"].get("replicas", 1):
        return ""
    owners = autoscaler["metadata"].get("ownerReferences", [])
    return next((str(owner["name"]) for owner in owners if owner["kind"] == "ScaledObject"), "")


def desired(item: Object, existing: Object | None, *, is_autoscaled: bool, by_force: bool = False) -> Desired:
    """How to apply the object over what is there.

    An autoscaler keeps its number of replicas, unless that is zero: from zero it does not scale. Without an
    autoscaler the manifests' number counts, whatever another writer has set. `by_force` also ends a pause.
    """
    if item["kind"] != "Deployment" or existing is None:
        return Desired(item)
    if by_force and existing["spec"].get("paused") and "paused" not in item["spec"]:
        item = {**item, "spec": {**item["spec"], "paused": False}}
    now = existing["spec"].get("replicas", 1)
    if is_autoscaled and now:
        if _sets_replicas(existing, ours=True):  # left out, they would become 1
            return Desired({**item, "spec": {**item["spec"], "replicas": now}})
        return Desired(_without_replicas(item))
    wanted = item["spec"].get("replicas", now)
    return Desired(item, takes_replicas=wanted != now and _sets_replicas(existing, ours=False))


def require_not_paused(item: Object, existing: Object | None) -> None:
    """`ManifestsRejected` where the Deployment is paused, so that its rollout would not begin."""
    spec = item.get("spec", {})
    if item["kind"] != "Deployment" or spec.get("paused") is False:
        return
    name = item["metadata"]["name"]
    if spec.get("paused"):
        raise ManifestsRejected(
            f"The manifests pause the Deployment {name}: it would never roll out.",
            "Remove `paused` from its spec.",
        )
    if existing is not None and existing["spec"].get("paused"):
        raise ManifestsRejected(
            f"The Deployment {name} is paused{paused_by(existing)}: nothing would roll out.",
            f"Find out why, then run `kubectl rollout resume deployment/{name}` and release again.",
        )


def _without_replicas(item: Object) -> Object:
    spec: dict[str, Any] = {key: value for key, value in item["spec"].items() if key != "replicas"}
    return {**item, "spec": spec}


def _sets_replicas(deployment: Object, *, ours: bool) -> bool:
    return any(
        (entry["manager"] == OURS) == ours and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in deployment["metadata"].get("managedFields", [])
    )
