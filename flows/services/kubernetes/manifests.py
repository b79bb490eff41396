"""The Kubernetes objects of one release: an overlay generated over the team's own, rendered by kustomize."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from flows.core.build.image import Image
from flows.core.errors import CommandFailed, ManifestsRejected
from flows.services.process.command import NOT_INSTALLED, Command, run, silent

PLACEHOLDER = "app"
"""The image name in the team's manifests that stands for the image of the release."""

RENDER_TIMEOUT = 30


@dataclass(frozen=True)
class Overlay:
    """Which of the team's overlays in `folder` (deployments/kubernetes), and what a release puts into it."""

    folder: Path
    name: str
    namespace: str
    deployment: str
    replicas: int

    def kustomization(self, image: Image, copy: str) -> dict[str, Any]:
        """The generated kustomization.yaml, over the copy of the team's folder beside it."""
        return {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{copy}/overlays/{self.name}"],
            "namespace": self.namespace,
            "images": [{"name": PLACEHOLDER, "newName": image.repository, "digest": image.digest}],
            "replicas": [{"name": self.deployment, "count": self.replicas}],
        }


@dataclass(frozen=True)
class KubernetesManifests:
    """Rendered objects; `hash` covers what they ask for, without the annotations that tell why."""

    objects: tuple[dict[str, Any], ...]
    hash: str
    container: str = ""
    """The name of the container that runs the release's image."""

    def annotated(self, deployment: str, annotations: Mapping[str, str]) -> "KubernetesManifests":
        """The same with these annotations on the Deployment itself, which restarts nothing."""
        marked = tuple(_marked(o, annotations) if _is(o, deployment) else o for o in self.objects)
        return replace(self, objects=marked)


def render(overlay: Overlay, image: Image, kubectl: str) -> KubernetesManifests:
    """The objects of this release; `ManifestsRejected` where they don't render or don't hold the image."""
    if not (overlay.folder / "overlays" / overlay.name).is_dir():
        known = ", ".join(sorted(path.name for path in (overlay.folder / "overlays").iterdir()))
        raise ManifestsRejected(
            f"There is no overlay {overlay.name!r} in {overlay.folder}/overlays.",
            f"Name one of these as `overlay` of the environment, or create it: {known}.",
        )
    with TemporaryDirectory(prefix="slipway-overlay-") as name:
        folder = Path(name)
        shutil.copytree(overlay.folder, folder / "kubernetes")
        generated = overlay.kustomization(image, "kubernetes")
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(generated, sort_keys=False))
        text = _kustomize(kubectl, folder, overlay.folder / "overlays" / overlay.name)
    objects = tuple(o for o in yaml.safe_load_all(text) if o)
    running = [name for o in objects if _is(o, overlay.deployment) for name in _containers(o, image)]
    if not running:
        raise ManifestsRejected(
            f"Overlay {overlay.name!r} has no Deployment {overlay.deployment!r} with image {PLACEHOLDER!r}.",
            f"Name it as [app] name in slipway.toml does, and its container's image {PLACEHOLDER!r}.",
        )
    found = hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()
    return KubernetesManifests(objects, found, running[0])


def _containers(deployment: Mapping[str, Any], image: Image) -> list[str]:
    """The names of those that run the image: kustomize puts a container of a patch before the others."""
    return [
        str(container["name"])
        for container in deployment["spec"]["template"]["spec"].get("containers") or []
        if container.get("image") == str(image)
    ]


def _kustomize(kubectl: str, folder: Path, overlay: Path) -> str:
    try:
        return run(Command((kubectl, "kustomize", str(folder)), RENDER_TIMEOUT), silent)
    except CommandFailed as failure:
        if failure.status == NOT_INSTALLED:
            raise
        raise ManifestsRejected(
            f"kustomize could not render {overlay}.",
            f"Run `kubectl kustomize {overlay}` and fix what it says.",
            details=failure.details,
        ) from failure


def _is(candidate: Mapping[str, Any], deployment: str) -> bool:
    return bool(candidate["kind"] == "Deployment" and candidate["metadata"]["name"] == deployment)


def _marked(deployment: dict[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
    metadata = deployment["metadata"]
    return {
        **deployment,
        "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **annotations}},
    }
