"""A registry that speaks the OCI distribution specification: asking for manifests, moving a pointer.

Layers are pushed by the container engine; here it is manifests and tags, which are small.
"""

import hashlib
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

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

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFESTS = (
    INDEX,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    OCI_MANIFEST,
    "application/vnd.docker.distribution.manifest.v2+json",
)
MODEL_MANIFEST = "application/vnd.slipway.model-manifest.v1+json"
IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)

PAGE = 500
"""Tags that are asked for at a time."""

TIMEOUT = httpx.Timeout(20, connect=5)
DOCKER_HUB = "registry-1.docker.io"


@dataclass(frozen=True)
class Credentials:
    """A user name and a password or token, for the registry at `address`."""

    address: str
    username: str
    password: str = field(repr=False)


class TokenAuth(httpx.Auth):
    """Answers a registry's challenge: Basic, or a Bearer token fetched from the realm it names.

    Distribution specification, "Token Authentication": what Azure Container Registry and Docker Hub ask for.
    """

    requires_response_body = True

    def __init__(self, credentials: Credentials | None) -> None:
        self._basic = (
            httpx.BasicAuth(credentials.username, credentials.password) if credentials else httpx.Auth()
        )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Ask without credentials first: the challenge says which kind is wanted."""
        challenge = (yield request).headers.get("www-authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            yield from self._basic.auth_flow(request)
        elif scheme.lower() == "bearer":
            challenge = parse_keqv_list(parse_http_list(rest))
            query = {key: value for key, value in challenge.items() if key in {"service", "scope"}}
            ask = httpx.Request("GET", httpx.URL(challenge["realm"]).copy_merge_params(query))
            answer = yield next(self._basic.auth_flow(ask))
            if answer.status_code == httpx.codes.OK:
                body = answer.json()
                request.headers["Authorization"] = f"Bearer {body.get('token') or body['access_token']}"
                yield request


@dataclass(frozen=True)
class ImageManifest:
    """A manifest as the registry keeps it: its digest, media type and bytes."""

    digest: str
    media_type: str
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        """The parsed JSON."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def blobs(self) -> dict[str, int]:
        """The blobs that it needs, by digest: configuration and layers, with their sizes in bytes."""
        needed = [self.content.get("config"), *self.content.get("layers", [])]
        return {blob["digest"]: blob["size"] for blob in needed if blob}


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
        """The image that a tag or digest names, pointers followed; `ImageNotFound` where there is none."""
        manifest = self.manifest(reference)
        if manifest.media_type == INDEX and (pointer := LatestPointer.from_index(manifest.content)):
            return Image(self.name, pointer.digest)
        return Image(self.name, manifest.digest)

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
        return answer.headers["docker-content-digest"]

    def manifest(self, reference: str) -> ImageManifest:
        """The manifest of a tag or digest; `ImageNotFound` where there is none."""
        answer = self._ask("GET", f"manifests/{reference}", headers={"Accept": ", ".join(MANIFESTS)})
        media_type = answer.headers["content-type"].split(";")[0]
        return ImageManifest(answer.headers["docker-content-digest"], media_type, answer.content)

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
        layer = self.manifest(tag + ATTACHED).content["layers"][0]["digest"]
        return self._ask("GET", f"blobs/{layer}").content

    def _upload(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Put a blob; its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
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
        """When the image of that manifest was built; None where it is none."""
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
        configuration: dict[str, Any] = self._ask(
            "GET", f"blobs/{manifest.content['config']['digest']}"
        ).json()
        return configuration

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(
            auth=TokenAuth(self.credentials), timeout=TIMEOUT, follow_redirects=True, verify=authorities()
        )

    def _ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Ask below this repository, or at a full URL that the registry gave us."""
        scheme = "http" if self.insecure else "https"
        host = DOCKER_HUB if self.address == "docker.io" else self.address
        url = httpx.URL(f"{scheme}://{host}/v2/{self.repository}/").join(path)
        try:
            answer = self._client.request(method, url, content=content, headers=headers)
        except httpx.TransportError as error:
            raise RegistryUnavailable(
                f"The registry {self.address} could not be reached: {error}.",
                "Check that the registry is running and that [registry] address points to it.",
            ) from error
        if answer.is_success:
            return answer
        raise self._refusal(answer, path)

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
