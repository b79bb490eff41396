"""Halves of images in a registry, and the images that are composed of them: manifests and blobs alone."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from flows.core.build import model_layer
from flows.core.build.composition import OCI_MANIFEST, CodeHalf, Composition, ModelHalf, configuration
from flows.core.build.image import Image
from flows.core.errors import DigestMismatch, ImageNotFound, PermanentError, RegistryUnavailable
from flows.core.model.model import Model
from flows.core.text import validation_message
from flows.services.registry.api import LARGE, Streamed
from flows.services.registry.client import MODEL_MANIFEST, Registry
from flows.services.registry.manifest import PUSHED, ImageManifest

MODEL_HALF = "application/vnd.slipway.model.v1"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PATH = "dev.slipway.model-path"
"""Annotation: where the layer puts the model."""

FILES = ("manifest.json", "model.onnx")
CHUNK = 1 << 20

Sent = Callable[[int, int], None]
"""Called with the bytes that were sent, and with those that will be."""


def find_code_half(registry: Registry, reference: str) -> Image | None:
    """The code half of that tag; None where the registry lacks it, or one of its blobs."""
    image = registry.find(reference)
    return image if image and _is_whole(registry, registry.manifest(image.digest)) else None


def read_code_half(registry: Registry, image: Image) -> CodeHalf:
    """Manifest and configuration of a code half; `ImageNotFound` where it is no image."""
    manifest = registry.manifest(image.digest)
    if manifest.parts.config is None or not manifest.parts.layers:
        raise ImageNotFound(f"{image} is no image.")
    content = registry.api.blob(manifest.parts.config.digest)
    try:
        return CodeHalf(manifest.media_type, manifest.content, configuration(content))
    except ValidationError as error:
        raise PermanentError(
            f"The configuration of the code half {image} is malformed: {validation_message(error)}.",
            "Find out who pushed it, delete its tag in the registry, and start the run again.",
        ) from error


def find_model_half(registry: Registry, tag: str) -> tuple[ModelHalf, bytes] | None:
    """The model half of that tag, and the model's manifest; None where the registry lacks it or its layer."""
    try:
        found = registry.manifest(tag)
    except ImageNotFound:
        return None
    config, layers = found.parts.config, found.parts.layers or []
    path = (found.content.get("annotations") or {}).get(PATH)
    if config is None or len(layers) != 1 or not isinstance(path, str):
        raise PermanentError(
            f"{registry.name}:{tag} is no model half: another program pushed it.",
            "Delete the tag in the registry, and start the run again.",
        )
    if not _is_whole(registry, found):
        return None
    half = ModelHalf(path, layers[0].digest, layers[0].size)
    return half, registry.api.blob(config.digest, LARGE)


def push_model_half(
    registry: Registry, tag: str, folder: Path, path: str, *, model: Model, sent: Sent
) -> ModelHalf:
    """Stream the model in `folder` into a layer that puts it at `path`, and push that under the tag.

    The file is read once, in bounded memory. `DigestMismatch` where it is not the model; nothing has the tag
    then.
    """
    layer = ModelLayer(folder, path, sent)
    digest = registry.api.stream(layer.body)
    if layer.model_digest != model.digest:
        raise DigestMismatch(
            f"{model} on this machine has the digest {layer.model_digest} instead of {model.digest}.",
            "Check this machine's disk and memory, and start the run again.",
        )
    half = ModelHalf(path, digest, len(layer.body))
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": MODEL_HALF,
        "config": registry.api.upload_once((folder / "manifest.json").read_bytes(), MODEL_MANIFEST),
        "layers": [{"mediaType": LAYER, "digest": half.digest, "size": half.size}],
        "annotations": {PATH: path, PUSHED: datetime.now(UTC).isoformat()},
    }
    registry.api.put(tag, manifest)
    return half


def put_composition(registry: Registry, composition: Composition) -> Image:
    """Put a composed image without a tag, which it gets after its trial.

    A registry takes a manifest with wrong sizes, docker pulls it, and a cluster's nodes do not: so they are
    compared first. `RegistryUnavailable` where a layer is gone by now.
    """
    for digest, size in composition.blobs.items():
        held = registry.api.size_of(digest)
        if held is None:
            raise RegistryUnavailable(
                f"The registry {registry.address} no longer has the layer {digest[:19]} of a half.",
                "Start the run again: it pushes the half again.",
            )
        if held != size:
            raise PermanentError(
                f"The registry {registry.address} has {held} bytes of the layer {digest[:19]}, but the half "
                f"names {size}.",
                "Delete the half's tag in the registry, and start the run again.",
            )
    registry.api.upload_once(composition.config, "application/octet-stream")
    registry.api.put_bytes(composition.digest, composition.manifest, composition.media_type)
    return Image(registry.name, composition.digest)


def tag_image(registry: Registry, image: Image, tag: str) -> None:
    """Let the tag name an image that is in the registry."""
    manifest = registry.manifest(image.digest)
    registry.api.put_bytes(tag, manifest.body, manifest.media_type)


class ModelLayer:
    """A model's layer as a body of an upload; `model_digest` is the model file's, once that was sent."""

    def __init__(self, folder: Path, path: str, sent: Sent) -> None:
        self._folder, self._sent = folder, sent
        self._parts = model_layer.layout(path, {name: (folder / name).stat().st_size for name in FILES})
        self._model = hashlib.sha256()
        self.body = Streamed(model_layer.length(self._parts), self._chunks)

    @property
    def model_digest(self) -> str:
        """The digest of the model file that was sent."""
        return f"sha256:{self._model.hexdigest()}"

    def _chunks(self) -> Iterator[bytes]:
        self._model, done = hashlib.sha256(), 0
        for part in self._parts:
            for chunk in self._bytes_of(part):
                yield chunk
                done += len(chunk)
                self._sent(done, len(self.body))

    def _bytes_of(self, part: model_layer.Part) -> Iterator[bytes]:
        yield part.header
        if part.file:
            yield from self._content(part)
            yield bytes(part.padding)

    def _content(self, part: model_layer.Part) -> Iterator[bytes]:
        """The file's content, as many bytes as the header says."""
        left = part.size
        with (self._folder / part.file).open("rb") as stream:
            while chunk := stream.read(min(CHUNK, left)):
                left -= len(chunk)
                if part.file == "model.onnx":
                    self._model.update(chunk)
                yield chunk
        if left:
            raise DigestMismatch(
                f"{part.file} became shorter while it was sent.", "Start the run again: it fetches the model."
            )


def _is_whole(registry: Registry, manifest: ImageManifest) -> bool:
    """Whether the registry has all blobs of a manifest, which a clean-up may have deleted."""
    return all(registry.api.size_of(digest) == size for digest, size in manifest.blobs.items())
