"""What a registry holds: manifests of images, of indexes or of something else, and images' configurations."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from flows.core.build.image import digest_of
from flows.core.build.latest import INDEX
from flows.core.errors import DigestMismatch, PermanentError
from flows.core.model.names import Digest
from flows.core.text import validation_message
from flows.core.untrusted import parsed_json

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (INDEX, LIST, OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)

ATTESTATION = "vnd.docker.reference.type"
"""Annotation of an index's entry that is no image, but says something of one (BuildKit, "Image attestation
storage")."""

PUSHED = "dev.slipway.pushed"
"""Annotation of what is attached to an image: when that was pushed. The image itself names the time of its
newest layer, which may be from an earlier build."""


class Platform(BaseModel):
    """What an image runs on."""

    model_config = ConfigDict(frozen=True)

    os: str = ""
    architecture: str = ""

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


class Descriptor(BaseModel):
    """Of content in the registry (OCI image specification, "OCI Content Descriptors")."""

    digest: Digest
    size: NonNegativeInt = 0
    media_type: Annotated[str, Field(alias="mediaType")] = ""
    annotations: dict[str, str] | None = None
    platform: Platform | None = None


class Parts(BaseModel):
    """What a manifest or an index names; what else it holds is ignored."""

    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None


@dataclass(frozen=True)
class ImageManifest:
    """A manifest: the digest of its bytes, media type and bytes."""

    digest: str
    media_type: str
    body: bytes

    @cached_property
    def content(self) -> dict[str, Any]:
        """The parsed JSON; `PermanentError` where it is no object."""
        try:
            parsed = parsed_json(self.body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise PermanentError(
                f"The registry's manifest {self.digest} is no JSON object.", "Delete it in the registry."
            )
        return parsed

    @property
    def names(self) -> frozenset[str]:
        """The digests that an engine may call the image by: of its manifest, and of its configuration."""
        config = self.parts.config
        return frozenset({self.digest, *([config.digest] if config else [])})

    @property
    def pushed(self) -> datetime | None:
        """When the image was pushed that this is attached to; None where that is not noted."""
        return instant_noted(self.content.get("annotations"))

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests."""
        return self.media_type in {INDEX, LIST}

    @cached_property
    def parts(self) -> Parts:
        """What it names; `PermanentError` where a part is malformed."""
        try:
            return Parts.model_validate(self.content)
        except ValidationError as error:
            raise PermanentError(
                f"The registry's manifest {self.digest} is malformed: {validation_message(error)}.",
                "Delete it in the registry.",
            ) from error

    @property
    def blobs(self) -> dict[str, int]:
        """The blobs that it needs, by digest: configuration and layers, with their sizes in bytes."""
        needed = [self.parts.config, *(self.parts.layers or ())]
        return {part.digest: part.size for part in needed if part}

    def runnable(self, platform: str) -> str | None:
        """The digest of the one image for a platform (`linux/amd64`) that an index lists.

        None where it lists none, or several.
        """
        found = [
            entry.digest
            for entry in self.parts.manifests or ()
            if ATTESTATION not in (entry.annotations or {}) and str(entry.platform) == platform
        ]
        return found[0] if len(found) == 1 else None


class ImageSettings(BaseModel):
    """What a container of the image is started with."""

    labels: Annotated[dict[str, str] | None, Field(alias="Labels")] = None


class ImageConfiguration(BaseModel):
    """Of an image (OCI image specification, "OCI Image Configuration"); what else it holds is ignored."""

    os: str = ""
    architecture: str = ""
    config: ImageSettings | None = None
    created: AwareDatetime | None = None  # that of reproducible builds may be in the year 1

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the image."""
        return (self.config and self.config.labels) or {}

    @property
    def platform(self) -> str:
        """What the image runs on, as `linux/amd64`."""
        return f"{self.os}/{self.architecture}"


def instant_noted(notes: object) -> datetime | None:
    """The time of the push that annotations or labels note; None where they note none."""
    try:
        noted = datetime.fromisoformat(notes[PUSHED])  # type: ignore[index]  # anything may have been pushed
    except (KeyError, ValueError, TypeError):
        return None
    return noted if noted.tzinfo else None


def checked(reference: str, claimed: str | None, media_type: str, body: bytes) -> ImageManifest:
    """The manifest that came for a tag or digest; `DigestMismatch` where it is not what was asked for.

    `claimed` is what the registry says its digest is; there are registries that say nothing.
    """
    digest = digest_of(body)
    wanted = [name for name in (reference, claimed or "") if name.startswith("sha256:")]
    if any(name != digest for name in wanted):
        raise mismatch(wanted[0], digest)
    return ImageManifest(digest, media_type, body)


def mismatch(wanted: str, digest: str) -> DigestMismatch:
    """The error for content that is not what its name says."""
    return DigestMismatch(
        f"The registry answered {wanted} with other content, whose digest is {digest}. It was not used.",
        "Check what is between this machine and the registry, and the registry itself.",
    )
