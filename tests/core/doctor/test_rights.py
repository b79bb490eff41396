"""Which rights an account lacks."""

import pytest

from flows.core.doctor.rights import Rule, lacking

WANTED: list[Rule] = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["slipway-release"],
        "verbs": ["update"],
    },
]
ALL: Rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


@pytest.mark.parametrize("granted", [WANTED, [ALL], list(reversed(WANTED))])
def test_what_is_granted_in_any_way_is_not_lacking(granted: list[Rule]) -> None:
    assert lacking(WANTED, granted) == []


def test_what_no_rule_grants_is_named_with_its_verbs() -> None:
    assert lacking(WANTED, []) == [
        "get, patch deployments.apps",
        "get pods/log",
        "update leases.coordination.k8s.io/slipway-release",
    ]


@pytest.mark.parametrize(
    "granted",
    [
        {"apiGroups": [""], "resources": ["deployments"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["*"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["other"], "verbs": ["*"]},
    ],
)
def test_another_group_resource_or_name_grants_nothing(granted: Rule) -> None:
    assert lacking(WANTED[:1], [granted]) == ["get, patch deployments.apps"]


def test_a_resource_does_not_grant_its_parts_but_a_star_before_the_part_does() -> None:
    pods: Rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    parts: Rule = {"apiGroups": [""], "resources": ["*/log"], "verbs": ["get"]}
    assert lacking(WANTED[1:2], [pods]) == ["get pods/log"]
    assert lacking(WANTED[1:2], [parts]) == []


def test_a_rule_for_every_name_grants_one_name() -> None:
    every: Rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}
    assert lacking(WANTED[2:], [every]) == []
