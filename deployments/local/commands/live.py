"""What is live in an environment: asked of its cluster, which alone knows."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from flows.config.load import Settings
from flows.core.errors import SlipwayError
from flows.stages.clusters import cluster_of


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


def _model(annotation: str) -> ModelFacts:
    """What the Deployment's annotation says; nothing where it says something else."""
    try:
        return _facts.validate_json(annotation or "{}")
    except ValueError:
        return ModelFacts()


_facts = TypeAdapter(ModelFacts)


def read(settings: Settings, environment: str) -> LiveFacts:
    """The facts as they are now."""
    try:
        live = cluster_of(settings, environment).live()
    except SlipwayError:
        return LiveFacts()
    if live is None:
        return LiveFacts()
    model = _model(live.model)
    return LiveFacts(
        digest=live.image.digest or None,
        capsule=live.capsule or None,
        commit=live.commit or None,
        model=model,
        replicas=live.replicas,
        ready=live.ready,
    )
