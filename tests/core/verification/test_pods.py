"""What a look at a release's pods says against it: whose restart, whose eviction."""

from typing import Any

import pytest

from flows.core.rollout.snapshot import CONTAINER, REVISION, Snapshot
from flows.core.verification.pods import ReleasedPods, released_pods

FULL = 'Usage of EmptyDir volume "tmp" exceeds the limit "512Mi". '
DISK = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "
CONTAINERS_DISK = 'Container app exceeded its local ephemeral storage limit "1Gi". '
NODE = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "


def pod(name: str, owner: str = "new", sidecar: int = 0, init: int = 0, **status: Any) -> dict[str, Any]:
    restarts = status.pop("restarts", 0)
    return {
        "metadata": {"name": name, "uid": name, "ownerReferences": [{"uid": owner}]},
        "spec": {"initContainers": [{"name": "mesh", "restartPolicy": "Always"}, {"name": "migrate"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "app", "restartCount": restarts}],
            "initContainerStatuses": [
                {"name": "mesh", "restartCount": sidecar},
                {"name": "migrate", "restartCount": init},
            ],
            **status,
        },
    }


def evicted(name: str, message: str, owner: str = "new") -> dict[str, Any]:
    return pod(name, owner, phase="Failed", reason="Evicted", message=message)


def look(*pods: dict[str, Any], app: str = "app") -> ReleasedPods:
    annotations = {REVISION: "2"} | ({CONTAINER: app} if app else {})
    deployment = {"metadata": {"uid": "web", "annotations": annotations}}
    sets = [
        {"metadata": {"uid": uid, "annotations": {REVISION: revision}}}
        for uid, revision in (("old", "1"), ("new", "2"))
    ]
    return released_pods(Snapshot(deployment, tuple(sets), pods))


def test_only_the_pods_of_the_newest_revision_that_run_are_the_releases() -> None:
    assert look(pod("a"), pod("b", "old"), evicted("c", NODE)).names == ("a",)


def test_nothing_new_is_no_trouble() -> None:
    before = look(pod("a", restarts=3, sidecar=2, init=1), evicted("gone", FULL))
    assert before.trouble_since(before) is None


@pytest.mark.parametrize(
    ("now", "happened", "fault"),
    [
        (pod("a", restarts=1), "a restarted", "image"),
        (pod("a", restarts=1, sidecar=1), "a restarted", "image"),
        (pod("a", sidecar=1), "mesh in a, which is not the app, restarted", "configuration"),
        (pod("came-since", restarts=1), "came-since restarted", "image"),
        (
            evicted("b", FULL),
            'b was evicted (Usage of EmptyDir volume "tmp" exceeds the limit "512Mi")',
            None,
        ),
        (evicted("b", DISK), f"b was evicted ({DISK.strip(' .')})", None),
        (evicted("b", CONTAINERS_DISK), f"b was evicted ({CONTAINERS_DISK.strip(' .')})", None),
    ],
)
def test_trouble_is_reported_with_whose_fault_it_is(
    now: dict[str, Any], happened: str, fault: str | None
) -> None:
    trouble = look(now).trouble_since(look(pod("a")))
    assert trouble is not None
    assert (trouble.happened, trouble.fault) == (happened, fault or "configuration")


@pytest.mark.parametrize(
    "now",
    [
        pod("a", init=1),
        evicted("b", NODE),
        evicted("b", FULL, "old"),
        pod("b", phase="Failed", reason="NodeLost"),
    ],
    ids=["an init container", "a node that is short", "an old pod", "a lost node"],
)
def test_what_is_not_the_releases_doing_is_no_trouble(now: dict[str, Any]) -> None:
    assert look(now).trouble_since(look(pod("a"))) is None


def test_every_container_counts_as_the_app_where_its_name_was_not_written_down() -> None:
    trouble = look(pod("a", sidecar=1), app="").trouble_since(look(pod("a"), app=""))
    assert trouble is not None
    assert (trouble.happened, trouble.fault) == ("a restarted", "image")
