"""The stages that find out what a release would be: the image, and the manifests that name it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.image import reference_of
from flows.core.build.latest import UNKNOWN_TIME
from flows.core.errors import ImageNotFound
from flows.core.release import record as records
from flows.core.release.decision import Candidate, Request
from flows.services.kubernetes import manifests
from flows.services.kubernetes.manifests import KubernetesManifests
from flows.stages.context import RunContext

CAPSULE = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Plan:
    """A release as it is asked for: by whom, of which image, with which manifests."""

    request: Request
    candidate: Candidate
    manifests: KubernetesManifests

    @property
    def environment(self) -> str:
        """Where to."""
        return self.request.environment


def resolve_image(run: RunContext, request: Request) -> Candidate | None:
    """The image to release: the one that was asked for, else what the environment promotes; None while it
    promotes nothing."""
    if request.image is None:
        return find_promotable(run, request.environment)
    return find_candidate(run, request.image)


def find_candidate(run: RunContext, wanted: str) -> Candidate:
    """The image that `latest`, a tag, a capsule or a digest names now; from here on it is a digest."""
    reference = reference_of(wanted)
    pointer = run.registry.pointer(reference)
    image = run.registry.image(pointer.digest if pointer else reference)
    labels = run.registry.labels(image)
    capsule = labels.get("org.opencontainers.image.version", "")
    if not CAPSULE.fullmatch(capsule):
        raise ImageNotFound(
            f"{image} was not built by this pipeline: it carries no capsule.",
            "Release one that a CI run pushed.",
        )
    manifest = run.model_manifest(image, capsule)
    commit = labels.get("org.opencontainers.image.revision", "")
    committed = _time(labels.get("org.opencontainers.image.created", ""))
    if pointer is not None:  # of the commit that is named there: a revert finds an older image again
        commit = pointer.content.commit
        if pointer.content.committed != UNKNOWN_TIME:
            committed = pointer.content.committed
    model = ModelVersion(
        name=labels.get("dev.slipway.model", ""),
        version=labels.get("dev.slipway.model.version", ""),
        digest=labels.get("dev.slipway.model.digest", ""),
    )
    candidate = Candidate(
        image=image,
        content=BuildContent(commit, model, committed, capsule),
        model_created=datetime.fromisoformat(manifest.created),
        manifest=manifest,
    )
    run.say(f"{wanted} is {candidate}: {image}.")
    return candidate


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return UNKNOWN_TIME


def find_promotable(run: RunContext, environment: str) -> Candidate | None:
    """The newest image that is good, and baked, where the environment promotes from; None while none is.

    Its commit is the one that it was released for there.
    """
    wanted = run.settings.environment(environment)
    if wanted.promotes_from is None:
        return None
    history = run.releases(wanted.promotes_from).history()
    found = records.promotable(history, wanted.bake, datetime.now(UTC))
    if found is None:
        return None
    candidate = find_candidate(run, found.image.digest)
    return candidate.of_commit(found.content)


def render_manifests(run: RunContext, request: Request, candidate: Candidate) -> Plan:
    """The environment's Kubernetes objects for this image."""
    rendered = manifests.render(run.overlay(request.environment), candidate.image, run.settings.kubectl)
    run.say(f"Rendered {', '.join(str(o['kind']) for o in rendered.objects)}.")
    return Plan(request, candidate, rendered)
