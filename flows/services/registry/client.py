"""A registry that speaks the OCI distribution specification: asking for manifests, moving a pointer.

Layers are pushed by the container engine; here it is manifests and tags, which are small.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import httpx

from flows.core.build.capsule import ATTACHED
from flows.core.build.image import Image, Reference
from flows.core.build.latest import INDEX, LatestPointer
from flows.core.errors import (
    CredentialsRefused,
    ImageNotFound,
    PermanentError,
    RegistryUnavailable,
    SlipwayError,
)
from flows.services.process.tls import authorities
from flows.services.registry.auth import Credentials, TokenAuth, same_origin
from flows.services.registry.manifest import (
    IMAGE_CONFIGS,
    MANIFESTS,
    OCI_MANIFEST,
    PLATFORM,
    ImageManifest,
    checked,
    digest_of,
    mismatch,
)

MODEL_MANIFEST = "application/vnd.slipway.model-manifest.v1+json"

SMALL, LARGE = 4 << 20, 64 << 20
"""Bytes that are read at most: of a manifest, which no registry must take larger (distribution specification,
"Pushing Manifests"), and of what is attached to one."""

PAGE = 500
"""Tags that are asked for at a time."""

TIMEOUT = httpx.Timeout(20, connect=5)
DOCKER_HUB = "registry-1.docker.io"


@dataclass(frozen=True)
class Registry:
    """One repository in one registry; `insecure` means plain HTTP, for loopback only."""

    address: str
    repository: str
    credentials: Credentials | None = None
    insecure: bool = False

    @property
    def name(self) -> str:
        """How images in it are named: address and repository."""
        return f"{self.address}/{self.repository}"

    def image(self, reference: str) -> Image:
        """The image that a tag or digest names; `ImageNotFound` where there is none.

        A pointer is followed, and so is an index to its one image for the platform that is released.
        """
        manifest = self.manifest(reference)
        if not manifest.is_index:
            return Image(self.name, manifest.digest)
        if pointer := LatestPointer.from_index(manifest.content):
            return Image(self.name, pointer.digest)
        if manifest.runnable is None:
            raise ImageNotFound(
                f"{self.name}:{reference} lists no image, or several, for {'/'.join(PLATFORM)}.",
                "Name one of them by its digest.",
            )
        return Image(self.name, manifest.runnable)

    def find(self, reference: str) -> Image | None:
        """The image of that tag or digest, or None."""
        try:
            return self.image(reference)
        except ImageNotFound:
            return None

    def pointer(self, tag: str = "latest") -> LatestPointer | None:
        """What the pointer says, or None where there is none, or none of ours."""
        try:
            manifest = self.manifest(tag)
        except ImageNotFound:
            return None
        return LatestPointer.from_index(manifest.content) if manifest.media_type == INDEX else None

    def move(self, pointer: LatestPointer, tag: str = "latest") -> str:
        """Put the pointer, in one request; its digest. The image it names must be there."""
        named = self.manifest(pointer.digest)
        index = pointer.to_index(named.media_type, len(named.body))
        body = json.dumps(index, separators=(",", ":")).encode()
        answer = self._ask("PUT", f"manifests/{tag}", content=body, headers={"Content-Type": INDEX})
        return answer.headers.get("docker-content-digest") or digest_of(body)

    def manifest(self, reference: str) -> ImageManifest:
        """The manifest of a tag or digest; `ImageNotFound` where there is none, `DigestMismatch` where the
        registry answers with another."""
        answer = self._ask("GET", f"manifests/{reference}", headers={"Accept": ", ".join(MANIFESTS)})
        media_type = answer.headers.get("content-type", "").split(";")[0]
        return checked(reference, answer.headers.get("docker-content-digest"), media_type, answer.content)

    def attach(self, tag: str, content: bytes) -> None:
        """Keep a model's manifest beside the image of that tag, as an OCI artifact of its own."""
        layer = self._upload(content, MODEL_MANIFEST)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": MODEL_MANIFEST,
            "config": self._upload(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [layer],
            "annotations": {"dev.slipway.capsule": tag},  # or images with one model would share it
        }
        body = json.dumps(manifest).encode()
        self._ask("PUT", f"manifests/{tag}{ATTACHED}", content=body, headers={"Content-Type": OCI_MANIFEST})

    def attached(self, tag: str) -> bytes:
        """The model's manifest that was kept beside the image; `ImageNotFound` where there is none."""
        layers = self.manifest(tag + ATTACHED).content.get("layers") or [{}]
        if "digest" not in layers[0]:
            raise ImageNotFound(f"{self.name}:{tag}{ATTACHED} holds no model's manifest.")
        return self._blob(layers[0]["digest"], LARGE)

    def _blob(self, digest: str, limit: int = SMALL) -> bytes:
        content = self._ask("GET", f"blobs/{digest}", limit=limit).content
        if digest_of(content) != digest:
            raise mismatch(digest, digest_of(content))
        return content

    def _upload(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Put a blob; its descriptor."""
        digest = digest_of(content)
        place = self._ask("POST", "blobs/uploads/").headers["location"]
        self._ask("PUT", str(httpx.URL(place).copy_merge_params({"digest": digest})), content=content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def labels(self, image: Image) -> dict[str, str]:
        """The labels in the image's configuration."""
        labels: dict[str, str] = (
            self._configuration(self.manifest(image.digest)).get("config", {}).get("Labels") or {}
        )
        return labels

    def created(self, manifest: ImageManifest) -> datetime | None:
        """When the image was built that the manifest is of, or lists; None where it is of none."""
        if manifest.is_index:
            if manifest.runnable is None or LatestPointer.from_index(manifest.content):
                return None
            manifest = self.manifest(manifest.runnable)
        if manifest.content.get("config", {}).get("mediaType") not in IMAGE_CONFIGS:
            return None
        created = self._configuration(manifest).get("created")
        return datetime.fromisoformat(created) if created else None

    def tags(self) -> list[str]:
        """All tags of this repository; none where there is no such repository."""
        tags: list[str] = []
        page: str | None = f"tags/list?n={PAGE}"
        while page is not None:
            try:
                answer = self._ask("GET", page)
            except ImageNotFound:
                break
            tags += answer.json().get("tags") or []
            page = answer.links.get("next", {}).get("url")
            if page is not None and not same_origin(self._url.join(page), self._url):
                raise PermanentError(
                    f"The registry {self.address} continues its tags at {self._url.join(page).host}.",
                    "Check [registry] address, and who answers there.",
                )
        return tags

    def delete(self, digest: str) -> None:
        """Delete a manifest and all tags that name it; nothing happens where there is none.

        `PermanentError` where the registry does not let anybody delete.
        """
        try:
            self._ask("DELETE", f"manifests/{digest}")
        except ImageNotFound:
            return

    def _configuration(self, manifest: ImageManifest) -> dict[str, Any]:
        found = (manifest.content.get("config") or {}).get("digest")
        if found is None:
            raise ImageNotFound(f"{self.name}@{manifest.digest} is no image.")
        configuration: dict[str, Any] = json.loads(self._blob(found))
        return configuration

    @cached_property
    def _client(self) -> httpx.Client:
        auth = TokenAuth(self.credentials, self._url)
        return httpx.Client(auth=auth, timeout=TIMEOUT, follow_redirects=True, verify=authorities())

    @property
    def _url(self) -> httpx.URL:
        scheme = "http" if self.insecure else "https"
        host = DOCKER_HUB if self.address == "docker.io" else self.address
        return httpx.URL(f"{scheme}://{host}/v2/{self.repository}/")

    def _ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = SMALL,
    ) -> httpx.Response:
        """Ask below this repository, or at a full URL that the registry gave us.

        `PermanentError` where more than `limit` bytes come.
        """
        url = self._url.join(path)
        try:
            with self._client.stream(method, url, content=content, headers=headers) as answered:
                answer = self._read(answered, path, limit)
        except httpx.TransportError as error:
            raise RegistryUnavailable(
                f"The registry {self.address} could not be reached: {error}.",
                "Check that the registry is running and that [registry] address points to it.",
            ) from error
        if answer.is_success:
            return answer
        raise self._refusal(answer, path)

    def _read(self, answer: httpx.Response, path: str, limit: int) -> httpx.Response:
        """The same answer with all of its content."""
        content = bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > limit:
                raise PermanentError(
                    f"The registry {self.address} answers {path} with more than {limit} bytes.",
                    "Find out who pushed it, and delete it.",
                )
        coded = {"content-encoding", "content-length", "transfer-encoding"}
        headers = [(name, value) for name, value in answer.headers.multi_items() if name not in coded]
        return httpx.Response(
            answer.status_code, headers=headers, content=bytes(content), request=answer.request
        )

    def _refusal(self, answer: httpx.Response, path: str) -> SlipwayError:
        code = answer.status_code
        if code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return credentials_refused(self.address)
        if code == httpx.codes.NOT_FOUND:
            reference = path.removeprefix("manifests/")
            separator = "@" if reference.startswith("sha256:") else ":"
            return ImageNotFound(
                f"The registry holds no {self.name}{separator}{reference}.",
                "A CI run that ends well puts it there; only the released branch moves `latest`.",
            )
        if code == httpx.codes.METHOD_NOT_ALLOWED:
            return PermanentError(
                f"The registry {self.address} has deletion disabled.",
                "Enable it: Debian's registry takes REGISTRY_STORAGE_DELETE_ENABLED=true.",
            )
        if code == httpx.codes.TOO_MANY_REQUESTS or code >= httpx.codes.INTERNAL_SERVER_ERROR:
            return RegistryUnavailable(
                f"The registry {self.address} answered {code}.", "Look at the registry's log."
            )
        return PermanentError(f"The registry {self.address} answered {code}: {answer.text[:200]}")


def credentials_refused(address: str) -> CredentialsRefused:
    """The same words for our own request and for the engine's push."""
    return CredentialsRefused(
        f"The registry {address} refuses the credentials it was given.",
        "Set user name and password in the DockerRegistryCredentials block that [registry] names; a run by "
        "hand takes SLIPWAY_REGISTRY_USERNAME and SLIPWAY_REGISTRY_PASSWORD, or what docker login left.",
    )


def resolve_base(name: Reference, registry: Registry) -> str:
    """The base image's name by digest; asks the registry that the name says, unless it is pinned already."""
    if name.pinned:
        return str(name)
    ours = name.address == registry.address
    holder = Registry(
        name.address, name.repository, registry.credentials if ours else None, registry.insecure and ours
    )
    digest = holder.manifest(name.reference).digest
    return str(Reference(name.address, name.repository, digest))
