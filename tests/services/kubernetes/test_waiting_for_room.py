"""A rollout on a cluster that is short of room, until its autoscaler has added a node."""

from pathlib import Path

import pytest

from flows.core.errors import RolloutFailed
from flows.core.rollout.verdict import Done
from flows.services.kubernetes import rollout_watch
from flows.services.process.command import silent
from tests.core.rollouts import NO_MEMORY, READY, pod
from tests.stand_ins.scaling_cluster import NOMINATED, make_room, one_replica, scaling_cluster


def test_a_rollout_outlasts_its_time_while_a_node_is_being_added(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rollout_watch, "POLL", 0.02)
    made, said = one_replica(pod(condition=NO_MEMORY), events=(NOMINATED,)), list[str]()
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 20:
            make_room(made)

    with scaling_cluster(made, "web", tmp_path) as client:
        assert rollout_watch.watch(client, 0.1, said.append, look, room_within=60) == Done(1)
    assert said == ["0 of 1 new replicas ready; new-pod: Pending; a node is being added"]
    assert "reason=Nominated" in made.asked


def test_a_node_that_does_not_come_is_waited_for_until_the_patience_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rollout_watch, "POLL", 0.02)
    made = one_replica(pod(condition=NO_MEMORY), events=(NOMINATED,))
    with (
        scaling_cluster(made, "web", tmp_path) as client,
        pytest.raises(RolloutFailed, match="not done within 0 s, and 1 s for room or images to come") as late,
    ):
        rollout_watch.watch(client, 0.1, silent, room_within=1)
    assert late.value.fault == "infrastructure"


def test_a_further_deployment_that_was_deleted_ends_the_watch(tmp_path: Path) -> None:
    made = one_replica(READY)
    worker = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "worker"}, "spec": {}}
    with (
        scaling_cluster(made, "web", tmp_path) as client,
        pytest.raises(RolloutFailed, match="worker is not in"),
    ):
        rollout_watch.watch(client, 1, silent, objects=[worker])
