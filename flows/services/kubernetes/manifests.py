"""The Kubernetes objects of one release: an overlay generated over the team's own, rendered by kustomize."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from flows.core.build.image import Image
from flows.core.errors import CommandFailed, ManifestsRejected
from flows.core.release.config_hash import with_config_hash
from flows.core.release.kinds import shared_pods, with_job_names
from flows.services.kubernetes.kustomize_errors import cause
from flows.services.kubernetes.own_files import KUSTOMIZATIONS, require_own_files
from flows.services.process.command import NOT_INSTALLED, Command, run, silent
from flows.services.process.temporary import temporary_folder

PLACEHOLDER = "app"
"""The image name in the team's manifests that stands for the image of the release."""

RENDER_TIMEOUT = 30

OFFLINE = {
    "GIT_ALLOW_PROTOCOL": "",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
}
"""kustomize clones and downloads nothing, also where `require_own_files` does not see that it would: no
protocol of git is allowed, and nothing listens at the proxy."""


@dataclass(frozen=True)
class Overlay:
    """Which of the team's overlays in `folder` (deployments/kubernetes), and what a release puts into it."""

    folder: Path
    name: str
    namespace: str
    deployment: str
    replicas: int

    def kustomization(self, image: Image, team: str) -> dict[str, Any]:
        """The generated kustomization.yaml; `team` is the relative path from it to the team's folder."""
        return {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{team}/overlays/{self.name}"],
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


def render(overlay: Overlay, image: Image, kubectl: str, *, origin: str) -> KubernetesManifests:
    """The objects of this release; `ManifestsRejected` where they don't render or don't hold the image.

    `origin` names the team's folder in messages.
    """
    if not (overlay.folder / "overlays" / overlay.name).is_dir():
        known = ", ".join(sorted(path.name for path in (overlay.folder / "overlays").glob("*")))
        raise ManifestsRejected(
            f"There is no overlay {overlay.name!r} in {origin}.",
            f"Name one of these as `overlay` of the environment, or commit it: {known or 'there is none'}.",
        )
    require_own_files(overlay.folder, overlay.folder / "overlays" / overlay.name, origin)
    text = _kustomize(kubectl, overlay, image, origin)
    objects = with_job_names(with_config_hash(_parsed(text)))
    app = next((o for o in objects if _is(o, overlay.deployment)), None)
    container = _container(app, image) if app else ""
    if not container:
        raise ManifestsRejected(
            f"Overlay {overlay.name!r} has no Deployment {overlay.deployment!r} with image {PLACEHOLDER!r}.",
            f"Name it as [app] name in slipway.toml does, and its container's image {PLACEHOLDER!r}.",
        )
    if shared := shared_pods(objects, overlay.deployment):
        raise ManifestsRejected(
            f"{shared}: users' requests would reach them.",
            "Give those pods labels of their own, or the Service a narrower selector.",
        )
    found = hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()
    return KubernetesManifests(objects, found, container)


class _Loader(yaml.SafeLoader):
    """As kustomize writes: it does not quote `=`, which is a type of its own in YAML 1.1 alone."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the library has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:value"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _parsed(text: str) -> list[dict[str, Any]]:
    try:
        return [item for item in yaml.load_all(text, _Loader) if item]
    except yaml.YAMLError as error:
        raise ManifestsRejected(f"What kustomize rendered can't be read: {error}.") from error


def _container(deployment: Mapping[str, Any], image: Image) -> str:
    """The name of the one that runs the image, "" where none does; of several, the one that is asked.

    kustomize puts a container of a patch before the others.
    """
    spec = deployment["spec"]["template"]["spec"]
    running = [one for one in spec.get("containers") or [] if one.get("image") == str(image)]
    asked = [one for one in running if one.get("ports")] or running
    return str(asked[-1]["name"]) if asked else ""


def _kustomize(kubectl: str, overlay: Overlay, image: Image, origin: str) -> str:
    team = overlay.folder.resolve()
    with temporary_folder("overlay") as created:
        folder = created.resolve()
        generated = overlay.kustomization(image, os.path.relpath(team, folder))
        (folder / KUSTOMIZATIONS[0]).write_text(yaml.safe_dump(generated, sort_keys=False))
        try:
            return run(Command((kubectl, "kustomize", str(folder)), RENDER_TIMEOUT, OFFLINE), silent)
        except CommandFailed as failure:
            if failure.status == NOT_INSTALLED:
                raise
            raise ManifestsRejected(
                f"kustomize could not render overlay {overlay.name!r} in {origin}: "
                f"{cause(failure.details, f'{team}/', '')}.",
                "Correct it, until `kubectl kustomize` renders that overlay, and commit it.",
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
