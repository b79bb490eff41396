"""What is applied over what is there: whose the replicas are, and a pause that a person has set."""

from typing import Any

import pytest

from flows.core.errors import ManifestsRejected
from flows.core.release.desired import asleep, desired, require_not_paused, scaled_by

Json = dict[str, Any]


def deployment(replicas: int | None = 3, **spec: Any) -> Json:
    scale = {} if replicas is None else {"replicas": replicas}
    return {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {**scale, **spec}}


def set_by(manager: str, replicas: int, **spec: Any) -> Json:
    """As the cluster has it, with replicas that were set by that manager."""
    entry = {"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    there = deployment(replicas, **spec)
    return {**there, "metadata": {**there["metadata"], "managedFields": [entry]}}


def autoscaler(
    name: str = "web", kind: str = "HorizontalPodAutoscaler", owner: Json | None = None, **target: str
) -> Json:
    metadata = {"name": f"of-{name}", **({"ownerReferences": [owner]} if owner else {})}
    return {"kind": kind, "metadata": metadata, "spec": {"scaleTargetRef": {"name": name, **target}}}


@pytest.mark.parametrize(
    ("there", "is_autoscaled", "replicas", "takes"),
    [
        (None, False, 3, False),
        (set_by("slipway", 2), False, 3, False),
        (set_by("kubectl", 10), False, 3, True),
        (set_by("kubectl", 3), False, 3, False),
        (set_by("kube-controller-manager", 10), False, 3, True),
        (set_by("kubectl", 0), False, 3, True),
        (set_by("kube-controller-manager", 10), True, None, False),
        (set_by("slipway", 5), True, 5, False),
        (set_by("kubectl", 0), True, 3, True),
        (None, True, 3, False),
    ],
    ids=[
        "first release",
        "ours",
        "scaled by hand",
        "scaled by hand to what it is anyway",
        "by an autoscaler that is gone",
        "zero by hand",
        "by an autoscaler",
        "an autoscaler that has not scaled yet",
        "zero, where an autoscaler does nothing",
        "first release, with an autoscaler",
    ],
)
def test_replicas_are_an_autoscalers_only_while_there_is_one(
    there: Json | None, is_autoscaled: bool, replicas: int | None, takes: bool
) -> None:
    wanted = desired(deployment(3), there, is_autoscaled=is_autoscaled)
    assert wanted.item["spec"].get("replicas") == replicas
    assert wanted.takes_replicas == takes
    assert "replicas" not in wanted.without_replicas["spec"]


def test_replicas_that_the_manifests_leave_open_stay_as_they_are() -> None:
    wanted = desired(deployment(None), set_by("kubectl", 10), is_autoscaled=False)
    assert (wanted.item, wanted.takes_replicas) == (deployment(None), False)


@pytest.mark.parametrize(
    ("scaler", "names"),
    [
        (autoscaler(apiVersion="apps/v1"), {"web"}),
        (autoscaler(kind="ScaledObject"), {"web"}),
        ({"kind": "ConfigMap", "metadata": {"name": "web"}, "spec": {}}, set()),
        (
            {
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "a"},
                "spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": "web"}},
            },
            set(),
        ),
    ],
    ids=["HorizontalPodAutoscaler", "KEDA", "no autoscaler", "of another kind"],
)
def test_an_autoscaler_scales_the_deployment_that_it_names(scaler: Json, names: set[str]) -> None:
    assert set(scaled_by([scaler])) == names


KEDA = {"kind": "ScaledObject", "name": "by-queue"}


@pytest.mark.parametrize(
    ("there", "scaler", "by"),
    [
        (deployment(0), autoscaler(owner=KEDA), "by-queue"),
        (deployment(1), autoscaler(owner=KEDA), ""),
        (deployment(0), autoscaler(), ""),
        (deployment(0), None, ""),
    ],
    ids=["KEDA", "awake", "another autoscaler", "by hand"],
)
def test_only_keda_scales_to_zero_until_a_request_comes(there: Json, scaler: Json | None, by: str) -> None:
    assert asleep(there, scaler) == by


PAUSE = {"manager": "kubectl-rollout", "fieldsV1": {"f:spec": {"f:paused": {}}}}


def paused() -> Json:
    there = deployment(3, paused=True)
    return {**there, "metadata": {**there["metadata"], "managedFields": [PAUSE]}}


def test_a_paused_deployment_is_refused_with_who_paused_it_and_what_to_do() -> None:
    with pytest.raises(ManifestsRejected, match="web is paused by kubectl-rollout") as refused:
        require_not_paused(deployment(), paused())
    assert "kubectl rollout resume deployment/web" in refused.value.remedy


def test_manifests_that_pause_are_refused() -> None:
    with pytest.raises(ManifestsRejected, match="The manifests pause the Deployment web"):
        require_not_paused(deployment(paused=True), None)


@pytest.mark.parametrize(
    ("item", "there"),
    [
        (deployment(), None),
        (deployment(), deployment()),
        (deployment(paused=False), paused()),
        ({"kind": "ConfigMap", "metadata": {"name": "a"}}, None),
    ],
    ids=["not there", "not paused", "the manifests resume it", "of another kind"],
)
def test_nothing_else_is_refused_as_paused(item: Json, there: Json | None) -> None:
    require_not_paused(item, there)


def test_what_is_put_back_ends_a_pause() -> None:
    assert desired(deployment(), paused(), is_autoscaled=False, by_force=True).item["spec"]["paused"] is False
    assert "paused" not in desired(deployment(), paused(), is_autoscaled=False).item["spec"]
