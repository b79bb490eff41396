"""The deployments of a Prefect server against those of prefect.yaml."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

VARIABLE = re.compile(r"\{\{\s*prefect\.variables\.(\w+)\s*\}\}")
"""How prefect.yaml names a variable of the server."""

Schedules = frozenset[tuple[str, str]]
"""Cron expressions with their time zones."""


@dataclass(frozen=True)
class Deployment:
    """What matters of a deployment, as flow/name: what it runs, with what, where and when."""

    name: str
    entrypoint: str
    queue: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schedules: Schedules = frozenset()


def described(entry: Mapping[str, Any], variables: Mapping[str, str]) -> Deployment:
    """An entry of prefect.yaml with the variables' values put in. Flows are named as their functions, with
    dashes."""

    def filled(text: str) -> str:
        return VARIABLE.sub(lambda found: variables.get(found[1], found[0]), text)

    flow = entry["entrypoint"].rpartition(".")[2].replace("_", "-")
    return Deployment(
        f"{flow}/{entry['name']}",
        entry["entrypoint"],
        entry["work_pool"]["work_queue_name"],
        entry.get("parameters") or {},
        frozenset((filled(one["cron"]), filled(one["timezone"])) for one in entry.get("schedules") or ()),
    )


def registered(found: Mapping[str, Any], flow: str) -> Deployment:
    """A deployment as Prefect's API describes it."""
    schedules = [one["schedule"] for one in found["schedules"]]
    return Deployment(
        f"{flow}/{found['name']}",
        found["entrypoint"] or "",
        found["work_queue_name"] or "",
        found["parameters"],
        frozenset((one.get("cron") or "", one.get("timezone") or "") for one in schedules),
    )


def differences(wanted: Iterable[Deployment], there: Mapping[str, Deployment]) -> list[str]:
    """What is missing on the server, or is otherwise there, each in a few words."""
    found = []
    for one in wanted:
        other = there.get(one.name)
        if other is None:
            found.append(f"{one.name} is missing")
            continue
        pairs = {
            "entry point": (one.entrypoint, other.entrypoint),
            "work queue": (one.queue, other.queue),
            "parameters": (dict(one.parameters), dict(other.parameters)),
            "schedule": (one.schedules, other.schedules),
        }
        if changed := [what for what, (mine, theirs) in pairs.items() if mine != theirs]:
            found.append(f"{one.name} has another {' and '.join(changed)}")
    return found
