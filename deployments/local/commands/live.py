"""What is live in an environment: asked of its cluster, which alone knows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flows.config.load import EMBEDDED, Settings, state_folder
from flows.config.schema import Environment
from flows.core.errors import SlipwayError
from flows.services.kubernetes.cluster import ANNOTATION, Cluster


@dataclass(frozen=True)
class ModelFacts:
    """The model in the image that is live."""

    name: str | None = None
    version: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class LiveFacts:
    """An environment's Deployment in a few words; all None where there is none, or no cluster answers."""

    digest: str | None = None
    capsule: str | None = None
    commit: str | None = None
    model: ModelFacts = ModelFacts()
    replicas: int | None = None
    ready: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As `status --json` prints it."""
        return asdict(self)


def read(settings: Settings, environment: str) -> LiveFacts:
    """The facts as they are now."""
    try:
        deployment = _cluster(settings, settings.environment(environment)).find_deployment()
    except SlipwayError:
        return LiveFacts()
    return LiveFacts() if deployment is None else _facts(deployment)


def _cluster(settings: Settings, wanted: Environment) -> Cluster:
    own = state_folder() / "kubeconfig" if wanted.context == EMBEDDED else None
    return Cluster(wanted.kubeconfig or own, wanted.context, wanted.namespace, settings.app.name)


def _facts(deployment: Mapping[str, Any]) -> LiveFacts:
    notes = deployment["metadata"].get("annotations", {})
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    model = json.loads(notes.get(f"{ANNOTATION}model", "{}"))
    return LiveFacts(
        digest=image.partition("@")[2] or None,
        capsule=notes.get(f"{ANNOTATION}capsule"),
        commit=notes.get(f"{ANNOTATION}commit"),
        model=ModelFacts(model.get("name"), model.get("version"), model.get("digest")),
        replicas=deployment["spec"].get("replicas", 1),
        ready=deployment.get("status", {}).get("readyReplicas", 0),
    )
