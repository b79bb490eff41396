"""Which kinds of objects a release may hold, and what is special about some."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from flows.core.errors import ManifestsRejected
from flows.core.release.record import Object, identity

KINDS = {
    ("apps", "Deployment"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("", "ConfigMap"),
    ("", "Service"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
}
"""What the releasing account may manage, as deployments/kubernetes/cluster/account.yaml grants it.

No StatefulSet: Kubernetes does not replace a broken pod of one by itself when the template is set back, so it
could not be undone. No Secret: manifests are in git.
"""

AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
LONGEST_NAME = 63
"""Characters of a Job's name, which is a label of its pods."""

DIGITS = 8


def is_granted(item: Object) -> bool:
    """Whether the account that releases may manage objects of that kind."""
    group, kind, _ = identity(item)
    return (group, kind) in KINDS


def not_granted(item: Object) -> ManifestsRejected:
    """The error of an object that the account which releases may not manage."""
    allowed = ", ".join(sorted(kind for _, kind in KINDS))
    return ManifestsRejected(
        f"The account that releases may not manage {item['kind']} {item['metadata']['name']}. "
        f"A release may hold: {allowed}.",
        "Remove it from the manifests and have an administrator create it, or grant the account "
        "slipway-release the rights to it.",
    )


def with_job_names(objects: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The same with a hash of each Job's content at the end of its name.

    A Job's template can't be changed, and a completed Job does not run again. So a Job with other content is
    another Job.
    """
    return tuple(_renamed(item) if item["kind"] == "Job" else item for item in objects)


def without_jobs(objects: Iterable[Object]) -> tuple[Object, ...]:
    """What is applied where a release is restored: its Jobs ran when it was released first."""
    return tuple(item for item in objects if item["kind"] != "Job")


def autoscalers(objects: Iterable[Object]) -> list[Object]:
    """Those of the objects that set the replicas of a Deployment."""
    return [item for item in objects if item["kind"] in AUTOSCALERS]


def _renamed(job: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps(job, sort_keys=True).encode()
    name = job["metadata"]["name"][: LONGEST_NAME - DIGITS - 1].rstrip("-.")
    hashed = f"{name}-{hashlib.sha256(content).hexdigest()[:DIGITS]}"
    return {**job, "metadata": {**job["metadata"], "name": hashed}}


def shared_pods(objects: Sequence[Object], app: str) -> str:
    """Which Service would send the app's users to pods of which other workload too; "" where none does."""
    templates = {
        item["metadata"]["name"]: _labels(item) for item in objects if item["kind"] in {"Deployment", "Job"}
    }
    own = templates.pop(app, {})
    for item in objects:
        wanted = (item["spec"].get("selector") or {}) if item["kind"] == "Service" else {}
        if not wanted or not wanted.items() <= own.items():
            continue
        for name, labels in templates.items():
            if wanted.items() <= labels.items():
                return f"Service {item['metadata']['name']} selects the pods of {name} as well"
    return ""


def _labels(workload: Object) -> dict[str, str]:
    return dict(workload["spec"].get("template", {}).get("metadata", {}).get("labels") or {})
