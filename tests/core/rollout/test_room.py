"""Whether a rollout that lacks room, or its image, is waited for."""

import pytest

from flows.core.rollout.judge import judge
from flows.core.rollout.room import REFUSED_WITHIN, ROOM_COMES_WITHIN, telling_events
from flows.core.rollout.verdict import Failed, Progressing
from tests.core.rollouts import (
    NO_MEMORY,
    NO_PLACE,
    NO_ROOM,
    QUOTA,
    READY,
    RUNNING,
    Json,
    event,
    pod,
    snapshot,
    waiting,
)


@pytest.mark.parametrize(
    ("condition", "cause"),
    [
        (NO_MEMORY, "no node has enough memory for the pod"),
        (NO_ROOM, "no node has enough cpu and memory for the pod"),
        (NO_PLACE, "no node can take the pod"),
    ],
    ids=["memory", "two resources", "taints"],
)
def test_a_pod_that_fits_on_no_node_names_the_resource(condition: Json, cause: str) -> None:
    happened = f"{cause}: {condition['message']}"
    failed = Failed(happened, "new-pod", "infrastructure", ROOM_COMES_WITHIN, for_room=True)
    assert judge(snapshot(pod(condition=condition))) == failed


@pytest.mark.parametrize(
    "others",
    [
        [pod(RUNNING, owner="old", ending=True)],
        [pod(RUNNING, owner="old", ready=True), pod(waiting("ContainerCreating"))],
    ],
    ids=["an old pod is ending", "an old one goes when the one that starts is ready"],
)
@pytest.mark.parametrize("refused", ["by the scheduler", "by a quota"])
def test_a_pod_that_waits_for_old_ones_to_make_room_is_progress(others: list[Json], refused: str) -> None:
    seen = (
        snapshot(pod(condition=NO_MEMORY), *others)
        if refused == "by the scheduler"
        else snapshot(*others, refusal=QUOTA)
    )
    assert isinstance(judge(seen), Progressing)


@pytest.mark.parametrize("starting", [[], [READY]], ids=["none started", "those that fit are ready"])
def test_old_pods_that_nothing_makes_leave_make_no_room(starting: list[Json]) -> None:
    old = pod(RUNNING, owner="old", ready=True)
    assert isinstance(judge(snapshot(pod(condition=NO_MEMORY), old, *starting)), Failed)


SCALE_UP = event("TriggeredScaleUp", "pod triggered scale-up: [{nodes 2->3 (max: 5)}]")
NOMINATED = event("Nominated", "Pod should schedule on: nodeclaim/default-x7k")
UNPLACED = pod(condition=NO_MEMORY)
PREEMPTING = {**UNPLACED, "status": {**UNPLACED["status"], "nominatedNodeName": "worker"}}
OTHER = {**UNPLACED, "metadata": {**UNPLACED["metadata"], "name": "other", "uid": "other-uid"}}


@pytest.mark.parametrize(
    ("pods", "events", "coming"),
    [
        ([UNPLACED], (SCALE_UP,), "a node is being added"),
        ([UNPLACED], (NOMINATED,), "a node is being added"),
        ([OTHER, UNPLACED], (SCALE_UP,), "a node is being added"),
        ([PREEMPTING], (), "pods of lower priority make room"),
    ],
    ids=["cluster-autoscaler", "Karpenter", "for another pod of the rollout", "preemption"],
)
def test_room_that_is_coming_is_waited_for(pods: list[Json], events: tuple[Json, ...], coming: str) -> None:
    verdict = judge(snapshot(*pods, events=events))
    assert isinstance(verdict, Progressing)
    assert verdict.coming == coming
    assert verdict.waiting.endswith(coming)


@pytest.mark.parametrize(
    "placed", [READY, pod(waiting("ContainerCreating"))], ids=["it is ready", "it starts there"]
)
def test_a_node_that_has_come_for_another_pod_is_not_coming_any_more(placed: Json) -> None:
    assert isinstance(judge(snapshot(placed, OTHER, events=(SCALE_UP,))), Failed)


def test_an_autoscaler_that_says_no_is_believed_sooner_than_one_that_says_nothing() -> None:
    no = event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")
    refused, silent = judge(snapshot(UNPLACED, events=(no,))), judge(snapshot(UNPLACED))
    assert isinstance(refused, Failed)
    assert isinstance(silent, Failed)
    assert (refused.patience, silent.patience) == (REFUSED_WITHIN, ROOM_COMES_WITHIN)
    assert isinstance(judge(snapshot(UNPLACED, events=(no, NOMINATED))), Progressing)


IMAGE = "registry/app@sha256:1"
PULLING = event("Pulling", f'Pulling image "{IMAGE}"')
PULLED = event("Pulled", f'Successfully pulled image "{IMAGE}" in 12s')


@pytest.mark.parametrize(
    ("events", "coming"),
    [((), ""), ((PULLING,), f"{IMAGE} is being pulled"), ((PULLING, PULLED), "")],
    ids=["not yet", "now", "no longer"],
)
def test_an_image_that_is_being_pulled_is_on_its_way(events: tuple[Json, ...], coming: str) -> None:
    verdict = judge(snapshot(pod(waiting("ContainerCreating")), events=events))
    assert isinstance(verdict, Progressing)
    assert verdict.coming == coming


@pytest.mark.parametrize(
    ("seen", "asked"),
    [
        (READY, ()),
        (UNPLACED, ("reason=TriggeredScaleUp", "reason=Nominated", "reason=NotTriggerScaleUp")),
        (pod(waiting("ContainerCreating")), ("reason=Pulling", "reason=Pulled")),
    ],
    ids=["ready", "without a node", "starting"],
)
def test_only_events_that_can_say_something_are_asked_for(seen: Json, asked: tuple[str, ...]) -> None:
    assert telling_events(snapshot(seen)) == asked
