"""A repository in a registry: its images, the pointer to the latest, and models' manifests beside them."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import httpx
from pydantic import BaseModel, ValidationError

from flows.core.build.capsule import ATTACHED
from flows.core.build.image import DIGEST, Image, Reference
from flows.core.build.latest import INDEX, LatestPointer
from flows.core.errors import CredentialsRefused, ImageNotFound, PermanentError, SlipwayError
from flows.core.text import validation_message
from flows.services.registry.api import LARGE, UPLOADS, RegistryApi
from flows.services.registry.auth import CHECK_ADDRESS, Login, anonymous, same_origin
from flows.services.registry.manifest import (
    IMAGE_CONFIGS,
    MANIFESTS,
    OCI_MANIFEST,
    PUSHED,
    ImageConfiguration,
    ImageManifest,
    checked,
)

MODEL_MANIFEST = "application/vnd.slipway.model-manifest.v1+json"

ACCEPT = {"Accept": ", ".join(MANIFESTS)}

PAGE = 500
"""Tags that are asked for at a time."""

PAGES = 1000
"""Pages of tags that are read: half a million tags."""


@dataclass(frozen=True)
class Registry:
    """One repository in one registry; `insecure` means plain HTTP, for loopback only.

    `platform` is that of the images that count: an image for another platform counts as missing. Every method
    may raise `RegistryUnavailable`, `CredentialsRefused`, and `PermanentError` for a malformed answer.
    """

    address: str
    repository: str
    login: Login = anonymous
    insecure: bool = False
    platform: str = "linux/amd64"

    @property
    def name(self) -> str:
        """How images in it are named: address and repository."""
        return self.api.name

    def image(self, reference: str) -> Image:
        """The image that a tag or digest names; `ImageNotFound` where there is none.

        A pointer is followed, and so is an index to its one image for the platform that is released.
        """
        manifest = self.manifest(reference)
        if not manifest.is_index:
            self._require_platform(manifest)
            return Image(self.name, manifest.digest)
        if pointer := LatestPointer.from_index(manifest.content):
            return Image(self.name, pointer.digest)
        if (runnable := manifest.runnable(self.platform)) is None:
            raise ImageNotFound(
                f"{self.name}:{reference} lists no image, or several, for {self.platform}.",
                "Name one of them by its digest.",
            )
        return self.image(runnable)

    def find(self, reference: str) -> Image | None:
        """The image of that tag or digest, or None."""
        try:
            return self.image(reference)
        except ImageNotFound:
            return None

    def manifest(self, reference: str) -> ImageManifest:
        """The manifest of a tag or digest; `ImageNotFound` where there is none, `DigestMismatch` where the
        registry answers with another."""
        answer = self.api.ask("GET", f"manifests/{reference}", headers=ACCEPT)
        media_type = answer.headers.get("content-type", "").split(";")[0]
        return checked(reference, answer.headers.get("docker-content-digest"), media_type, answer.content)

    def digest(self, reference: str) -> str:
        """The digest of what a tag names; errors as of `manifest`.

        It asks without the content, as Docker Hub does not count that as a pull. Where the registry names no
        digest, it asks for the content.
        """
        try:
            answer = self.api.ask("HEAD", f"manifests/{reference}", headers=ACCEPT)
        except (ImageNotFound, CredentialsRefused):
            raise
        except PermanentError:  # a registry that does not support HEAD
            return self.manifest(reference).digest
        named = answer.headers.get("docker-content-digest", "")
        return named if DIGEST.fullmatch(named) else self.manifest(reference).digest

    def labels(self, image: Image) -> dict[str, str]:
        """The labels in the image's configuration."""
        return self._configuration(self.manifest(image.digest)).labels

    def configuration(self, manifest: ImageManifest) -> ImageConfiguration | None:
        """That of the manifest's image, or of the one that an index lists; None where there is none."""
        if manifest.is_index:
            runnable = manifest.runnable(self.platform)
            if runnable is None or LatestPointer.from_index(manifest.content):
                return None
            manifest = self.manifest(runnable)
        config = manifest.parts.config
        if config is None or config.media_type not in IMAGE_CONFIGS:
            return None
        return self._configuration(manifest)

    def tags(self) -> list[str]:
        """All tags of this repository; none where there is no such repository."""
        tags: list[str] = []
        page = f"tags/list?n={PAGE}"
        for _ in range(PAGES):
            try:
                answer = self.api.ask("GET", page)
            except ImageNotFound:
                return tags
            tags += self._listed(answer.content)
            if "next" not in answer.links:
                return tags
            page = answer.links["next"]["url"]
            following = self.api.url.join(page)
            if not same_origin(following, self.api.url):
                raise PermanentError(
                    f"The registry {self.address} continues its tags at {following.host}.", CHECK_ADDRESS
                )
        raise PermanentError(
            f"The registry {self.address} lists tags of {self.repository} without end.", CHECK_ADDRESS
        )

    def delete(self, digest: str) -> None:
        """Delete a manifest and all tags that name it; nothing happens where there is none.

        `PermanentError` where the registry allows no deletion.
        """
        with suppress(ImageNotFound):
            self.api.ask("DELETE", f"manifests/{digest}")

    def pointer(self, tag: str = "latest") -> LatestPointer | None:
        """The pointer at that tag; None where there is none, or the tag names something else."""
        try:
            manifest = self.manifest(tag)
        except ImageNotFound:
            return None
        return LatestPointer.from_index(manifest.content) if manifest.media_type == INDEX else None

    def move(self, pointer: LatestPointer, tag: str = "latest") -> None:
        """Put the pointer, in one request. The image it names must be there."""
        named = self.manifest(pointer.digest)
        self.api.put(tag, pointer.to_index(named.media_type, len(named.body), self.platform))

    def attach(self, tag: str, content: bytes) -> None:
        """Keep a model's manifest beside the image of that tag, as an OCI artifact of its own."""
        layer = self.api.upload(content, MODEL_MANIFEST)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": MODEL_MANIFEST,
            "config": self.api.upload(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [layer],
            # with the tag, or images with one model would share it
            "annotations": {"dev.slipway.capsule": tag, PUSHED: datetime.now(UTC).isoformat()},
        }
        self.api.put(tag + ATTACHED, manifest)

    def attached(self, tag: str) -> bytes:
        """The model's manifest that was kept beside the image; `ImageNotFound` where there is none."""
        layers = self.manifest(tag + ATTACHED).parts.layers
        if not layers:
            raise ImageNotFound(f"{self.name}:{tag}{ATTACHED} holds no model's manifest.")
        return self.api.blob(layers[0].digest, LARGE)

    def may_push(self) -> bool:
        """Whether the registry lets these credentials begin an upload, which is given up at once.

        A registry that is read-only does not.
        """
        try:
            answer = self.api.ask("POST", UPLOADS, expected={httpx.codes.METHOD_NOT_ALLOWED})
        except CredentialsRefused:
            return False
        if answer.status_code == httpx.codes.METHOD_NOT_ALLOWED:
            return False
        with suppress(SlipwayError):
            self.api.ask("DELETE", answer.headers.get("location", ""))
        return True

    def may_pull(self) -> bool:
        """Whether the registry lets these credentials read here, whether or not there is an image yet."""
        try:
            self.api.ask("GET", "manifests/latest", headers=ACCEPT, expected={httpx.codes.NOT_FOUND})
        except CredentialsRefused:
            return False
        return True

    @cached_property
    def api(self) -> RegistryApi:
        """Requests to the repository."""
        return RegistryApi(self.address, self.repository, self.login, self.insecure)

    def _require_platform(self, manifest: ImageManifest) -> None:
        """`ImageNotFound` for an image that was built for another platform than counts here."""
        built_for = self._configuration(manifest).platform
        if built_for != self.platform:
            raise ImageNotFound(
                f"{self.name}@{manifest.digest} is an image for {built_for}, not for {self.platform}.",
                "Build it for that platform with `slipway ci`, or correct [app] platform.",
            )

    def _configuration(self, manifest: ImageManifest) -> ImageConfiguration:
        if manifest.parts.config is None:
            raise ImageNotFound(f"{self.name}@{manifest.digest} is no image.")
        try:
            return ImageConfiguration.model_validate_json(self.api.blob(manifest.parts.config.digest))
        except ValidationError as error:
            raise PermanentError(
                f"The configuration of {self.name}@{manifest.digest} is malformed: "
                f"{validation_message(error)}.",
                "Delete the image in the registry.",
            ) from error

    def _listed(self, page: bytes) -> list[str]:
        try:
            return TagList.model_validate_json(page).tags or []
        except ValidationError as error:
            raise PermanentError(
                f"The registry {self.address} gives no list of its tags: {validation_message(error)}.",
                CHECK_ADDRESS,
            ) from error


class TagList(BaseModel):
    """A page of tags (distribution specification, "Listing Tags")."""

    tags: list[str] | None = None


def resolve_base(name: Reference, registry: Registry) -> Reference:
    """The base image's name by digest; asks the registry that the name says."""
    ours = name.address == registry.address
    login = registry.login if ours else anonymous
    holder = Registry(name.address, name.repository, login, registry.insecure and ours)
    return Reference(name.address, name.repository, holder.digest(name.reference))
