"""An image out of two halves: config and manifest of the code half in, config and manifest of the image out.

Equal halves give equal bytes, on every machine and at any time. Nothing is built for it, and no byte of the
model is read.
"""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from flows.core.build.capsule import Capsule
from flows.core.build.image import digest_of
from flows.core.errors import BuildFailed
from flows.core.model.model import Model

MARKER = "dev.slipway.model-path"
"""The label that marks in the Dockerfile where the model's layer belongs; its value is `[app] model_path`."""

BUILT = "dev.slipway.pushed"
"""The label of a code half that says when it was built. It is no part of the image."""

REVISION, CREATED = "org.opencontainers.image.revision", "org.opencontainers.image.created"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEDIA_TYPES = {
    DOCKER_MANIFEST: (
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar",
    ),
    OCI_MANIFEST: ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"),
}
"""By the manifest's media type, those of a configuration and of an uncompressed layer. Docker 20 and
containerd 1.6 take layers of the manifest's own family."""

MARKING = re.compile(rf"\bLABEL\b.*?\s{re.escape(MARKER)}=\"?(?P<path>[^\s\"]*)", re.DOTALL)
OF_BUILDERS = ("container", "container_config", "docker_version", "id", "parent")
"""Fields of a configuration that say who built it."""

MARK = f'Write LABEL {MARKER}="{{path}}" into the Dockerfile, after the dependencies and before the code.'


@dataclass(frozen=True)
class CodeHalf:
    """An image without a model, as the registry holds it: manifest and configuration are parsed JSON."""

    media_type: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        """Those in its configuration."""
        return dict((self.config.get("config") or {}).get("Labels") or {})


@dataclass(frozen=True)
class ModelHalf:
    """A model's layer in the registry: where it puts the model, its digest, and its size in bytes.

    It is not compressed, so its digest is that of its content, too.
    """

    path: str
    digest: str
    size: int


@dataclass(frozen=True)
class Composition:
    """The bytes of an image's manifest and configuration, as they are put into the registry."""

    media_type: str
    manifest: bytes
    config: bytes
    blobs: Mapping[str, int]
    """The layers that the registry must hold: sizes in bytes, by digest."""

    @property
    def digest(self) -> str:
        """The image's."""
        return digest_of(self.manifest)


@dataclass(frozen=True)
class Place:
    """Where the model's layer belongs: so many layers and so many entries of the history are below it."""

    layers: int
    entries: int


def configuration(content: bytes) -> dict[str, Any]:
    """The configuration of a code half, as `compose` reads it; `ValidationError` where it is malformed."""
    _Configuration.model_validate_json(content)
    return dict(json.loads(content))


def compose(code: CodeHalf, model: ModelHalf, capsule: Capsule, of: Model) -> Composition:
    """The image of these halves, whose capsule and model are these.

    Its commit is the one of which the code half was built first, and its time that commit's. `BuildFailed`
    where the code half can't take a model.
    """
    place = place_of(code, model.path)
    config, manifest = deepcopy(dict(code.config)), deepcopy(dict(code.manifest))
    config_type, layer_type = MEDIA_TYPES[code.media_type]
    created = code.labels[CREATED]
    config["rootfs"]["diff_ids"].insert(place.layers, model.digest)
    config["history"].insert(place.entries, {"created_by": f"slipway: {of} in {model.path}"})
    for entry in config["history"]:
        entry["created"] = created  # when the half was built is no input
    config["created"] = created
    for key in OF_BUILDERS:
        config.pop(key, None)
    config["config"]["Env"] = _with_identity(config["config"].get("Env") or [], code, capsule)
    config["config"]["Labels"] = _labels(code, capsule, of)
    layer = {"mediaType": layer_type, "digest": model.digest, "size": model.size}
    manifest["layers"].insert(place.layers, layer)
    content = _canonical(config)
    manifest["config"] = {"mediaType": config_type, "digest": digest_of(content), "size": len(content)}
    blobs = {one["digest"]: one["size"] for one in manifest["layers"]}
    return Composition(code.media_type, _canonical(manifest), content, blobs)


def place_of(code: CodeHalf, path: str) -> Place:
    """Where the model's layer belongs in a code half; `BuildFailed` where it can't take a model at `path`."""
    if code.media_type not in MEDIA_TYPES:
        raise BuildFailed(
            f"The code half has a manifest of the unknown type {code.media_type}.",
            "Use docker 20.10 or newer as the engine.",
        )
    if missing := {REVISION, CREATED} - code.labels.keys():
        raise BuildFailed(
            f"The code half has no label {min(missing)}: another program pushed it.",
            "Delete its tag in the registry, and start the run again.",
        )
    history = code.config.get("history") or []
    layers = [index for index, entry in enumerate(history) if not entry.get("empty_layer")]
    held = len(code.manifest["layers"])
    for where, count in (("history", len(layers)), ("configuration", len(code.config["rootfs"]["diff_ids"]))):
        if count != held:
            raise BuildFailed(
                f"The code half has {held} layers, but its {where} names {count}.",
                "Use a base image whose history names all its layers.",
            )
    require_no_volume(code.config, path)
    marks = [(index, found["path"]) for index, entry in enumerate(history) if (found := _marking(entry))]
    entry, named = marks[-1] if marks else (0, None)
    require_mark(named, path)
    return Place(sum(index < entry for index in layers), entry)


def require_mark(marked: str | None, path: str) -> None:
    """`BuildFailed` where the Dockerfile marks another path than `path`, or none."""
    if marked is None:
        raise BuildFailed(
            f"The Dockerfile does not mark where the model belongs, but [app] model_path is {path}.",
            MARK.format(path=path),
        )
    if marked != path:
        raise BuildFailed(
            f"The Dockerfile marks {marked} as the model's place, but [app] model_path is {path}.",
            MARK.format(path=path),
        )


def require_no_volume(config: Mapping[str, Any], path: str) -> None:
    """`BuildFailed` where a volume would lie over the model, or hold a copy of it."""
    for volume in (config.get("config") or {}).get("Volumes") or {}:
        if _is_within(path, volume) or _is_within(volume, path):
            raise BuildFailed(
                f"The Dockerfile declares VOLUME {volume}, and [app] model_path is {path}: each start would "
                "copy the model.",
                f"Remove VOLUME {volume} from the Dockerfile, or correct model_path.",
            )


def require_untouched(path: str, found: list[str]) -> None:
    """`BuildFailed` where the Dockerfile wrote these files to the model's place: they may hide the model."""
    if found:
        raise BuildFailed(
            f"The Dockerfile writes {found[0]}, but Slipway puts the model into {path} ([app] model_path).",
            f"Remove the line that writes below {path}, or remove model_path if the Dockerfile copies the "
            "model itself.",
        )


def _marking(entry: Mapping[str, Any]) -> re.Match[str] | None:
    return MARKING.search(str(entry.get("created_by", ""))) if entry.get("empty_layer") else None


def _is_within(path: str, folder: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def _with_identity(variables: list[str], code: CodeHalf, capsule: Capsule) -> list[str]:
    """The image's variables, with those that `/version` answers."""
    identity = {
        "SLIPWAY_CAPSULE": capsule.hash,
        "SLIPWAY_COMMIT": code.labels[REVISION],
        "SLIPWAY_BUILT": code.labels[CREATED],
    }
    given = dict(pair.partition("=")[::2] for pair in variables)
    return [f"{name}={value}" for name, value in (given | identity).items()]


def _labels(code: CodeHalf, capsule: Capsule, model: Model) -> dict[str, str]:
    own = {name: value for name, value in code.labels.items() if name != BUILT}
    return own | capsule.labels | model_labels(model)


def model_labels(model: Model) -> dict[str, str]:
    """The labels that name an image's model."""
    return {
        "dev.slipway.model": model.name,
        "dev.slipway.model.version": model.version,
        "dev.slipway.model.digest": model.digest,
    }


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True)

    Env: list[str] | None = None
    Labels: dict[str, str] | None = None
    Volumes: dict[str, Any] | None = None


class _Layers(BaseModel):
    diff_ids: list[str]


class _Configuration(BaseModel):
    """What an image's configuration has at least (OCI image specification, "Image Configuration")."""

    config: _Settings
    rootfs: _Layers
    history: list[dict[str, Any]] | None = None


def _canonical(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
