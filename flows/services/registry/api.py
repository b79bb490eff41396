"""The HTTP interface of one repository in a registry: requests, their limits, and the errors of answers.

Layers are pushed by the container engine; here it is manifests, tags and small blobs.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from flows.core.build.image import digest_of
from flows.core.errors import (
    ImageNotFound,
    PermanentError,
    SlipwayError,
)
from flows.services.process import bounded
from flows.services.process.bounded import Bounds, TooLarge
from flows.services.process.tls import authorities
from flows.services.registry import refusals
from flows.services.registry.auth import (
    SIGNED_IN,
    Credentials,
    Login,
    SignedIn,
    TokenAuth,
    anonymous,
    same_origin,
)
from flows.services.registry.manifest import mismatch
from flows.services.registry.refusals import Place

SMALL, LARGE = 4 << 20, 64 << 20
"""Bytes that are read at most: of a manifest, which no registry must take larger (distribution specification,
"Pushing Manifests"), and of what is attached to one."""

TIMEOUT = httpx.Timeout(20, connect=5)
FIRST_BYTE, SLOWEST = 60, 256 << 10
"""Seconds until an answer begins to come, and bytes that move in a second, at the least."""

WHOLE_BLOB = httpx.Timeout(20, connect=5, read=300)
"""Seconds of a transfer: a registry may copy a whole blob before it answers."""

UPLOADS = "blobs/uploads/"

ACTIONS = {"GET": refusals.PULL, "HEAD": refusals.PULL, "DELETE": refusals.DELETE}
"""What a request needs to be allowed, by its method; any other pushes."""

DOCKER_HUB = "registry-1.docker.io"


class Streamed:
    """A body of a known length that is hashed while it is sent; each pass over it begins at its start."""

    def __init__(self, length: int, chunks: Callable[[], Iterable[bytes]]) -> None:
        self._length, self._chunks = length, chunks
        self._seen = hashlib.sha256()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        self._seen = hashlib.sha256()
        for chunk in self._chunks():
            self._seen.update(chunk)
            yield chunk

    @property
    def digest(self) -> str:
        """Of what was sent."""
        return f"sha256:{self._seen.hexdigest()}"


@dataclass(frozen=True)
class RegistryApi:
    """One repository in one registry; `insecure` means plain HTTP, for loopback only."""

    address: str
    repository: str
    login: Login = anonymous
    insecure: bool = False

    @property
    def name(self) -> str:
        """How images in it are named: address and repository."""
        return f"{self.address}/{self.repository}"

    @property
    def url(self) -> httpx.URL:
        """Below which its manifests, blobs and tags are."""
        scheme = "http" if self.insecure else "https"
        host = DOCKER_HUB if self.address == "docker.io" else self.address
        return httpx.URL(f"{scheme}://{host}/v2/{self.repository}/")

    def ask(
        self,
        method: str,
        path: str | httpx.URL,
        *,
        content: "bytes | Streamed | None" = None,
        headers: Mapping[str, str] | None = None,
        limit: int = SMALL,
        expected: Set[int] = frozenset(),
        timeout: httpx.Timeout = TIMEOUT,
    ) -> httpx.Response:
        """The answer to a request below `url`, or at a full URL that the registry gave us.

        An answer with more than `limit` bytes, or with a status that is neither a success nor `expected`, is
        an error.
        """
        url = self.url.join(path)
        bounds = Bounds(limit, FIRST_BYTE + (limit + len(content or b"")) / SLOWEST)
        try:
            answer = bounded.ask(
                self._client, method, url, bounds, content=content, headers=headers, timeout=timeout
            )
        except TooLarge as error:
            raise PermanentError(
                f"The registry {self.address} answers {path} with more than {limit} bytes.",
                "Delete it in the registry, and find out who pushed it.",
            ) from error
        except httpx.TransportError as error:
            raise refusals.unreachable(self.address, str(self.url), error) from error
        if answer.is_success or answer.status_code in expected:
            return answer
        raise self._refusal(answer, str(path))

    def put(self, tag: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Put a manifest under that tag; its descriptor."""
        content = json.dumps(manifest, separators=(",", ":")).encode()
        return self.put_bytes(tag, content, manifest["mediaType"])

    def put_bytes(self, reference: str, manifest: bytes, media_type: str) -> dict[str, Any]:
        """Put these bytes of a manifest under that tag, or without one under their digest; its descriptor."""
        self.ask("PUT", f"manifests/{reference}", content=manifest, headers={"Content-Type": media_type})
        return _descriptor(manifest, media_type)

    def upload(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Put a blob; its descriptor."""
        descriptor = _descriptor(content, media_type)
        place = httpx.URL(self.ask("POST", UPLOADS).headers["location"])
        self.ask("PUT", place.copy_merge_params({"digest": descriptor["digest"]}), content=content)
        return descriptor

    def upload_once(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Put a blob, unless it is there; its descriptor."""
        descriptor = _descriptor(content, media_type)
        is_there = self.size_of(descriptor["digest"]) == len(content)
        return descriptor if is_there else self.upload(content, media_type)

    def stream(self, content: "Streamed") -> str:
        """Put a blob in one pass, without holding it; its digest.

        What broke off begins again with the next call: a registry can't resume it (Debian's 2.8 does not know
        how much of a part it kept). An upload that fails here is cancelled.
        """
        begun = self.ask("POST", UPLOADS)
        place = self.url.join(begun.headers["location"])
        signed_in = begun.request.headers.get("Authorization") if self._is_own(place) else None
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
        if signed_in:  # else the challenge came after all of the content
            headers["Authorization"] = signed_in
        try:
            answer = self.ask("PATCH", place, content=content, headers=headers, timeout=WHOLE_BLOB)
            place = self.url.join(answer.headers["location"])
            digest = content.digest
            self.ask("PUT", place.copy_merge_params({"digest": digest}), timeout=WHOLE_BLOB)
        except BaseException:
            with suppress(SlipwayError):
                self.ask("DELETE", place)
            raise
        return digest

    def size_of(self, digest: str) -> int | None:
        """Bytes of the blob; None where the registry has none of that digest."""
        answer = self.ask("HEAD", f"blobs/{digest}", expected={httpx.codes.NOT_FOUND})
        if not answer.is_success:
            return None
        if not (length := answer.headers.get("content-length", "")).isdecimal():
            raise PermanentError(
                f"The registry {self.address} does not say how large {digest[:19]} is.",
                "Use a registry that does, or remove [app] model_path.",
            )
        return int(length)

    def _is_own(self, url: httpx.URL) -> bool:
        return same_origin(url, self.url)

    def blob(self, digest: str, limit: int = SMALL) -> bytes:
        """The content of that digest; `DigestMismatch` where the registry answers with another."""
        content = self.ask("GET", f"blobs/{digest}", limit=limit).content
        if digest_of(content) != digest:
            raise mismatch(digest, digest_of(content))
        return content

    @cached_property
    def _client(self) -> httpx.Client:
        auth = TokenAuth(self.login, self.url)
        return bounded.client(auth=auth, timeout=TIMEOUT, follow_redirects=True, verify=authorities())

    def _refusal(self, answer: httpx.Response, path: str) -> SlipwayError:
        code, method = answer.status_code, answer.request.method
        signed_in = answer.request.extensions.get(SIGNED_IN, SignedIn(None))
        place = self._place(signed_in.credentials)
        said = refusals.words_of(answer)
        if known := refusals.unavailable(self.address, answer) or refusals.of_words(place, said):
            return known
        if signed_in.asks_for_token:
            return refusals.refused(place, said)
        if code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return _not_allowed(place, signed_in, answer, said)
        if code == httpx.codes.NOT_FOUND and path == UPLOADS:
            return PermanentError(
                f"The registry {self.address} answers 404 to an upload to {self.repository}.",
                "Create the repository in the registry, or correct [registry] repository.",
            )
        if code == httpx.codes.NOT_FOUND:
            reference = path.removeprefix("manifests/").removeprefix("blobs/")
            separator = "@" if reference.startswith("sha256:") else ":"
            return ImageNotFound(
                f"The registry holds no {self.name}{separator}{reference}.",
                "Build it with `slipway ci`. Only a run for the released branch moves `latest`.",
            )
        if code == httpx.codes.METHOD_NOT_ALLOWED:
            return PermanentError(
                f"The registry {self.address} does not allow {method}: it is read-only, or deletion "
                "is disabled.",
                "Allow it in the registry's configuration; for deletion, Debian's registry takes "
                "REGISTRY_STORAGE_DELETE_ENABLED=true.",
            )
        return PermanentError(f"The registry {self.address} answered {code}: {answer.text[:200]}.")

    def _place(self, credentials: Credentials | None) -> Place:
        if credentials is None:
            return Place(self.address, self.repository)
        return Place(self.address, self.repository, credentials.how_to_correct)


def _not_allowed(place: Place, signed_in: SignedIn, answer: httpx.Response, said: str) -> SlipwayError:
    """The error of a 401 or 403: whether the credentials are wrong, or lack a right."""
    if signed_in.credentials is None:
        return refusals.login_needed(place)
    is_known = signed_in.has_token or answer.status_code == httpx.codes.FORBIDDEN
    action = ACTIONS.get(answer.request.method, refusals.PUSH)
    if not is_known or action in (signed_in.granted or ()):  # a token that died on the way, too
        return refusals.refused(place, said)
    return refusals.no_right(place, action, signed_in.granted, said)


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    """What names this content in a manifest (OCI image specification, "OCI Content Descriptors")."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
