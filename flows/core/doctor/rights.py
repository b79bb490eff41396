"""What an account may do in a namespace, against what the bootstrap grants it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Rule = Mapping[str, Sequence[str]]
"""As Role (rbac.authorization.k8s.io/v1) and SelfSubjectRulesReview (authorization.k8s.io/v1) have it."""


def granted_rules(objects: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """The rules of the Roles among these objects."""
    return [rule for one in objects if one["kind"] == "Role" for rule in one["rules"]]


def lacking(wanted: Iterable[Rule], granted: Sequence[Rule]) -> list[str]:
    """Which of the wanted rights none of the granted rules gives, as "patch deployments.apps"."""
    found: dict[str, list[str]] = {}
    for group, resource, name, verb in _each(wanted):
        if not any(_covers(rule, group, resource, name, verb) for rule in granted):
            what = f"{resource}.{group}" if group else resource
            found.setdefault(f"{what}/{name}" if name else what, []).append(verb)
    return [f"{', '.join(verbs)} {what}" for what, verbs in found.items()]


def _each(rules: Iterable[Rule]) -> Iterator[tuple[str, str, str, str]]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames") or [""]:
                    for verb in rule["verbs"]:
                        yield group, resource, name, verb


def _covers(rule: Rule, group: str, resource: str, name: str, verb: str) -> bool:
    _, _, part = resource.partition("/")
    resources = {"*", resource, f"*/{part}"} if part else {"*", resource}
    names = rule.get("resourceNames") or ()
    return (
        not {"*", group}.isdisjoint(rule.get("apiGroups") or ())
        and not resources.isdisjoint(rule.get("resources") or ())
        and not {"*", verb}.isdisjoint(rule.get("verbs") or ())
        and (not names or name in names)
    )
