"""A manifest as a registry gives it: of an image, of an index of images, or of something else."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flows.core.build.latest import INDEX
from flows.core.errors import DigestMismatch, PermanentError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (INDEX, LIST, OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)

PLATFORM = ("linux", "amd64")
"""Operating system and architecture of the images that are released."""

ATTESTATION = "vnd.docker.reference.type"
"""Annotation of an index's entry that is no image, but says something of one (BuildKit, "Image attestation
storage")."""


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
            parsed = json.loads(self.body)
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise PermanentError(
                f"The registry's manifest {self.digest} is no JSON object.", "Delete it in the registry."
            )
        return parsed

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests."""
        return self.media_type in {INDEX, LIST}

    @property
    def blobs(self) -> dict[str, int]:
        """The blobs that it needs, by digest: configuration and layers, with their sizes in bytes."""
        needed = [self.content.get("config"), *self.content.get("layers", [])]
        return {blob["digest"]: blob["size"] for blob in needed if blob}

    @property
    def runnable(self) -> str | None:
        """The digest of the one image for `PLATFORM` that an index lists; None where it is not one."""
        found = [
            str(entry["digest"])
            for entry in self.content.get("manifests") or []
            if ATTESTATION not in (entry.get("annotations") or {}) and _is_for_us(entry.get("platform") or {})
        ]
        return found[0] if len(found) == 1 else None


def checked(reference: str, claimed: str | None, media_type: str, body: bytes) -> ImageManifest:
    """The manifest that came for a tag or digest; `DigestMismatch` where it is not what was asked for.

    `claimed` is what the registry says its digest is; there are registries that say nothing.
    """
    digest = digest_of(body)
    wanted = [name for name in (reference, claimed or "") if name.startswith("sha256:")]
    if any(name != digest for name in wanted):
        raise mismatch(wanted[0], digest)
    return ImageManifest(digest, media_type, body)


def digest_of(body: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def mismatch(wanted: str, digest: str) -> DigestMismatch:
    """The error for content that is not what its name says."""
    return DigestMismatch(
        f"The registry answered {wanted} with other content, whose digest is {digest}. It was not used.",
        "Check what is between this machine and the registry, and the registry itself.",
    )


def _is_for_us(platform: Mapping[str, Any]) -> bool:
    return (platform.get("os"), platform.get("architecture")) == PLATFORM
