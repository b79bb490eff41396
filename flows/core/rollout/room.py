"""Whether there is room for the pods of a rollout, whether room is on its way, and which events say so.

A cluster's autoscaler reports by events what it does. A pod that fits on a node which is coming for another
pod gets no event (cluster-autoscaler's static_autoscaler.go), so the lack of an event is no refusal.
"""

import re

from flows.core.rollout.containers import containers
from flows.core.rollout.snapshot import (
    Object,
    Snapshot,
    conditions,
    events_about,
    is_ending,
    is_ready,
    new_pods,
    old_pods,
)
from flows.core.rollout.verdict import Failed

ROOM_COMES_WITHIN = 60.0
"""Seconds without an event of an autoscaler, in which no pod came or went, after which there is no room."""

REFUSED_WITHIN = 15.0
"""The same once the autoscaler has said that it adds no node for the pod: it looks every 10 s."""

SCALE_UP = ("TriggeredScaleUp", "Nominated")
"""Reasons of events of cluster-autoscaler; of Karpenter, AKS' node auto-provisioning and EKS' auto mode."""

NO_SCALE_UP = "NotTriggerScaleUp"
STARTING = ("ContainerCreating", "PodInitializing")
INSUFFICIENT = re.compile(r"Insufficient ([\w./-]*\w)")


def telling_events(snapshot: Snapshot) -> tuple[str, ...]:
    """Field selectors of the events, beside those of trouble, that say what this rollout waits for."""
    reasons: list[str] = []
    if _unplaced(snapshot):
        reasons += [*SCALE_UP, NO_SCALE_UP]
    if _starting(snapshot):
        reasons += ["Pulling", "Pulled"]
    return tuple(f"reason={reason}" for reason in reasons)


def unschedulable(pod: Object, snapshot: Snapshot) -> Failed | None:
    """Why no node takes the pod, unless old pods are about to make room."""
    said = _said(pod)
    if said is None or may_be_vacated(snapshot):
        return None
    short_of = " and ".join(dict.fromkeys(INSUFFICIENT.findall(said)))
    cause = f"no node has enough {short_of} for the pod" if short_of else "no node can take the pod"
    refused = any(e.get("reason") == NO_SCALE_UP for e in events_about([pod], snapshot.events))
    patience = REFUSED_WITHIN if refused else ROOM_COMES_WITHIN
    return Failed(f"{cause}: {said}", pod["metadata"]["name"], "infrastructure", patience, for_room=True)


def may_be_vacated(snapshot: Snapshot) -> bool:
    """Whether old pods are leaving, or will once a new one that has its place gets ready."""
    old = old_pods(snapshot)
    starting = [
        pod for pod in new_pods(snapshot) if pod.get("spec", {}).get("nodeName") and not is_ready(pod)
    ]
    return any(is_ending(pod) for pod in old) or bool(old and starting)


def on_its_way(snapshot: Snapshot) -> str:
    """What is coming that a new pod waits for: a node, room on a node, its image; "" where nothing is."""
    unplaced = _unplaced(snapshot)
    if any(pod.get("status", {}).get("nominatedNodeName") for pod in unplaced):
        return "pods of lower priority make room"
    if any(event.get("reason") in SCALE_UP for event in events_about(unplaced, snapshot.events)):
        return "a node is being added"
    pulled = next((image for pod in _starting(snapshot) for image in _pulled(pod, snapshot)), "")
    return f"{pulled} is being pulled" if pulled else ""


def _said(pod: Object) -> str | None:
    found = (c for c in conditions(pod) if c.get("reason") == "Unschedulable" and c["status"] == "False")
    return next((str(c.get("message", "")) for c in found), None)


def _unplaced(snapshot: Snapshot) -> list[Object]:
    return [pod for pod in new_pods(snapshot) if _said(pod) is not None]


def _starting(snapshot: Snapshot) -> list[Object]:
    return [
        pod
        for pod in new_pods(snapshot)
        if any(c.waiting.get("reason") in STARTING for c in containers(pod, snapshot.past))
    ]


def _pulled(pod: Object, snapshot: Snapshot) -> list[str]:
    """The images that the pod's node pulls now."""
    events = events_about([pod], snapshot.events)

    def are_about(reason: str, image: str) -> bool:
        return any(e.get("reason") == reason and image in (e.get("message") or "") for e in events)

    waiting = [c.image for c in containers(pod, snapshot.past) if c.waiting.get("reason") in STARTING]
    return [image for image in waiting if are_about("Pulling", image) and not are_about("Pulled", image)]
