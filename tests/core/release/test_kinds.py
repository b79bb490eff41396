"""Which kinds a release may hold; what becomes of its Jobs; whose pods a Service takes in."""

from typing import Any

import pytest
import yaml

from flows.config.version import CLUSTER_OBJECTS
from flows.core.release.kinds import (
    KINDS,
    LONGEST_NAME,
    autoscalers,
    is_granted,
    not_granted,
    shared_pods,
    with_job_names,
    without_jobs,
)

Json = dict[str, Any]


def item(kind: str, name: str = "a", version: str = "v1", **spec: Any) -> Json:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def plural(kind: str) -> str:
    name = kind.lower()
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}es" if name.endswith("ss") else f"{name}s"


def test_the_account_is_granted_what_a_release_may_hold() -> None:
    documents = yaml.safe_load_all((CLUSTER_OBJECTS / "account.yaml").read_text())
    role = next(one for one in documents if one["kind"] == "Role")
    managed = {
        (group, resource)
        for rule in role["rules"]
        if "delete" in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert managed - {("", "secrets")} == {(group, plural(kind)) for group, kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "version", "granted"),
    [
        ("Deployment", "apps/v1", True),
        ("CronJob", "batch/v1", True),
        ("ConfigMap", "v1", True),
        ("StatefulSet", "apps/v1", False),
        ("Secret", "v1", False),
        ("ServiceAccount", "v1", False),
        ("Deployment", "example.org/v1", False),
    ],
)
def test_a_kind_is_granted_by_group_and_kind(kind: str, version: str, granted: bool) -> None:
    assert is_granted(item(kind, version=version)) is granted


def test_the_refusal_of_a_kind_names_those_that_a_release_may_hold() -> None:
    refused = not_granted(item("ServiceAccount", "robot"))
    assert "may not manage ServiceAccount robot" in refused.happened
    assert [kind for _, kind in KINDS if kind not in refused.happened] == []
    assert "have an administrator create it" in refused.remedy


def test_a_job_with_other_content_is_another_job() -> None:
    first, same, other = with_job_names(
        [item("Job", "migrate", image="a"), item("Job", "migrate", image="a"), item("Job", "migrate")]
    )
    assert first == same
    assert first["metadata"]["name"].startswith("migrate-")
    assert first["metadata"]["name"] != other["metadata"]["name"]


def test_a_jobs_name_stays_within_what_kubernetes_allows() -> None:
    (long,) = with_job_names([item("Job", "m" * 54 + "-" + "n" * 8)])
    assert len(long["metadata"]["name"]) <= LONGEST_NAME
    assert "--" not in long["metadata"]["name"]


def test_only_jobs_get_other_names_and_only_they_run_once() -> None:
    others = [item("CronJob"), item("Deployment")]
    assert with_job_names(others) == tuple(others)
    assert without_jobs([*others, item("Job")]) == tuple(others)


def test_what_sets_replicas_is_an_autoscaler() -> None:
    objects = [item("Deployment"), item("ScaledObject"), item("HorizontalPodAutoscaler")]
    assert [one["kind"] for one in autoscalers(objects)] == ["ScaledObject", "HorizontalPodAutoscaler"]


def pods_of(name: str, **labels: str) -> Json:
    return item("Deployment", name, template={"metadata": {"labels": labels}})


SERVICE = item("Service", "web", selector={"app": "web"})


@pytest.mark.parametrize(
    ("others", "cause"),
    [
        ([], ""),
        ([pods_of("cache", app="cache")], ""),
        ([pods_of("worker", app="web", tier="worker")], "Service web selects the pods of worker as well"),
        ([item("Service", "cache", selector={"app": "cache"}), pods_of("cache", app="cache")], ""),
        ([item("Service", "outside", externalName="example.org")], ""),
    ],
    ids=["the app alone", "labels of its own", "the app's labels", "a Service of its own", "no selector"],
)
def test_a_service_that_would_send_users_to_another_workload_is_found(others: list[Json], cause: str) -> None:
    assert shared_pods([SERVICE, pods_of("web", app="web"), *others], "web") == cause
