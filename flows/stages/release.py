"""The stages from an image in the registry to replicas that users reach."""

import json
import re
from dataclasses import dataclass, field

from flows.core import release as releases
from flows.core.errors import ImageNotFound
from flows.core.image import Image, reference_of
from flows.core.manifest import Manifest
from flows.core.manifest import parse as parse_manifest
from flows.core.rollout import Done
from flows.run import Run
from flows.services import manifests, proof, rollout_watch
from flows.services.edge import Edge
from flows.services.manifests import Manifests
from flows.services.proof import Proof

CAPSULE = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Candidate:
    """The image to be released and, as far as its labels and pointer tell, what it was made of."""

    image: Image
    capsule: str
    commit: str
    model: str
    model_version: str
    model_digest: str
    manifest: Manifest = field(repr=False)

    def __str__(self) -> str:
        return f"{self.commit[:7]} + {self.model} {self.model_version}"


def find_candidate(run: Run, wanted: str) -> Candidate:
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
    manifest = run.registry.attached(capsule)
    candidate = Candidate(
        image=image,
        capsule=capsule,
        commit=pointer.commit if pointer else labels.get("org.opencontainers.image.revision", ""),
        model=labels.get("dev.slipway.model", ""),
        model_version=labels.get("dev.slipway.model.version", ""),
        model_digest=labels.get("dev.slipway.model.digest", ""),
        manifest=parse_manifest(manifest, source=f"the model's manifest beside {capsule[:12]}"),
    )
    run.say(f"{wanted} is {candidate}: {image}.")
    return candidate


def render_manifests(run: Run, environment: str, candidate: Candidate) -> Manifests:
    """The environment's Kubernetes objects for this image."""
    rendered = manifests.render(run.overlay(environment), candidate.image, run.settings.kubectl)
    run.say(f"Rendered {', '.join(str(o['kind']) for o in rendered.objects)}.")
    return rendered


def observe_and_decide(
    run: Run, environment: str, candidate: Candidate, rendered: Manifests, *, force: bool = False
) -> releases.Release | releases.Skip:
    """Look at what is live, and whether that makes this release due."""
    cluster = run.cluster(environment)
    cluster.require_namespace()
    decision = releases.decide(candidate.image, rendered.hash, cluster.live(), force=force)
    run.say(f"{type(decision).__name__}: {decision.reason}.")
    return decision


def apply_manifests(
    run: Run, environment: str, candidate: Candidate, rendered: Manifests, *, reason: str = ""
) -> None:
    """Apply all objects, with annotations that say what they are and why."""
    model = {
        "name": candidate.model,
        "version": candidate.model_version,
        "digest": candidate.model_digest,
    }
    annotations = {
        "slipway.dev/capsule": candidate.capsule,
        "slipway.dev/commit": candidate.commit,
        "slipway.dev/model": json.dumps(model),
        "slipway.dev/manifests": rendered.hash,
        "slipway.dev/run": run.id,
        "slipway.dev/reason": reason,
    }
    cluster = run.cluster(environment)
    cluster.apply(rendered.annotated(cluster.deployment, annotations), run.say)


def watch_rollout(run: Run, environment: str) -> Done:
    """Wait until all replicas are new and ready; `RolloutFailed` carries pods, events and logs."""
    timeout = run.settings.environment(environment).rollout_timeout
    return rollout_watch.watch(run.cluster(environment), timeout, run.say)


def prove(run: Run, environment: str, candidate: Candidate) -> Proof:
    """Ask every replica its version and the model's examples, through the public URL."""
    pods = rollout_watch.new_pod_names(run.cluster(environment))
    wanted = run.settings.environment(environment)
    edge = Edge(wanted.public_url, wanted.resolver, tuple(map(str, wanted.load_balancer)))
    return proof.prove(
        edge,
        pods,
        candidate.capsule,
        candidate.manifest,
        outgoing=None,
        slower_than=wanted.slower_than,
        say=run.say,
        alive=lambda: None,
    )
