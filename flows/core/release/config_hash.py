"""A hash of what a pod reads, in its template: a change replaces the pods that have not read it."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from flows.core.release.record import Object

CONFIGURATION = "slipway.dev/configuration"
"""The annotation of a pod template: a hash of the release's objects that the template refers to."""

REFERENCES = {
    "configMap": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "secretRef": ("Secret", "name"),
    "secretKeyRef": ("Secret", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
"""Fields of a pod's spec that refer to an object: its kind, and the field that has its name."""

MAKES = {"SealedSecret": "Secret", "ExternalSecret": "Secret"}
"""Kinds of which a controller makes an object of the same name and another kind."""

READERS = ("Deployment", "Job")


def with_config_hash(objects: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The same, with the annotation on each template that refers to an object among them.

    Kubernetes restarts no pod because a ConfigMap changes. Without the annotation, a release would verify
    pods that have not read the new ConfigMap. A CronJob's pods read it when they start.
    """
    listed = tuple(objects)
    known = {(_kind(item), str(item["metadata"]["name"])): item for item in listed}
    return tuple(_annotated(item, known) if item["kind"] in READERS else item for item in listed)


def _annotated(workload: dict[str, Any], known: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    template = workload["spec"].get("template", {})
    read = {name: known[name] for name in sorted(set(_references(template.get("spec", {})))) if name in known}
    if not read:
        return workload
    content = json.dumps(list(read.values()), sort_keys=True).encode()
    metadata = template.get("metadata") or {}
    notes = (metadata.get("annotations") or {}) | {CONFIGURATION: hashlib.sha256(content).hexdigest()}
    marked = {**template, "metadata": {**metadata, "annotations": notes}}
    return {**workload, "spec": {**workload["spec"], "template": marked}}


def _kind(item: Object) -> str:
    return MAKES.get(str(item["kind"]), str(item["kind"]))


def _references(value: object) -> Iterator[tuple[str, str]]:
    """Kind and name of all that is referred to anywhere below; projected volumes name Secrets by `name`."""
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    if not isinstance(value, dict):
        return
    for key, below in value.items():
        if key in REFERENCES and isinstance(below, dict):
            kind, field = REFERENCES[key]
            name = below.get(field) or below.get("name")
            if name:
                yield kind, str(name)
        yield from _references(below)
