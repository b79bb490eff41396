"""One container of a blob store, read and written in bounded memory; its errors are ours.

obstore gives Azure Blob Storage, S3 and folders one interface (`blob_providers` opens them); large objects
move in several parts at a time.
"""

import contextlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore

from flows.core.errors import (
    CredentialsRefused,
    ModelNotFound,
    PermanentError,
    SettingsError,
    SlipwayError,
    StoreUnavailable,
)
from flows.services.process import cancellation

SMALL = 1 << 20
"""Bytes that pointers, pins and notes may have at most."""

IN_FLIGHT = 4
"""Parts on their way at a time, in 150 MB of memory: one would do on loopback, but not across a network."""

_MISSING_CONTAINERS = ("ContainerNotFound", "NoSuchBucket")
_PASSES_BY_ITSELF = (408, 409, 429)
_OVERTAKEN = "InvalidBlockList"


@dataclass(frozen=True)
class Blob:
    """An object's path in its container, its size in bytes, and the etag that changes with its content."""

    path: str
    size: int
    modified: datetime
    etag: str | None


@dataclass(frozen=True)
class BlobStore:
    """A container; `place` names it in messages, `how_to_...` say what to do when it is missing or refuses.

    Large objects move in requests of `part` bytes.

    Every method raises `StoreUnavailable` when the store is away, `CredentialsRefused` when it does not
    accept who we are, and `ModelNotFound` when the container is missing.
    """

    objects: ObjectStore
    place: str
    how_to_create: str
    how_to_sign_in: str
    part: int = 16 << 20

    def read(self, path: str, limit: int = SMALL) -> bytes | None:
        """A small object's content; None when there is no such object.

        `PermanentError` where it has more than `limit` bytes: none of them is read.
        """
        with self._translated_errors():
            try:
                found = obstore.get(self.objects, path)
                if (size := found.meta["size"]) <= limit:
                    return bytes(found.bytes())
            except FileNotFoundError as error:
                if self._container_is_missing(error):
                    raise
                return None
        raise PermanentError(
            f"{path} in {self.place} has {size} bytes; at most {limit} are read.",
            "Find out who wrote it, and delete it.",
        )

    def find(self, path: str) -> Blob | None:
        """What is known of an object without reading it; None when there is none."""
        with self._translated_errors():
            try:
                return _blob(obstore.head(self.objects, path))
            except FileNotFoundError:
                return None

    def list_folder(self, folder: str) -> list[Blob]:
        """All objects below `folder`, however deep."""
        with self._translated_errors():
            return [_blob(meta) for meta in obstore.list(self.objects, folder).collect()]

    def list_root(self) -> list[Blob]:
        """The objects that lie in no folder."""
        with self._translated_errors():
            return [_blob(meta) for meta in obstore.list_with_delimiter(self.objects)["objects"]]

    def create(self, path: str, content: bytes) -> bool:
        """Write a small object unless there is one, atomically; whether it was written."""
        with self._translated_errors():
            try:
                obstore.put(self.objects, path, content, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def replace(self, path: str, content: bytes) -> None:
        """Write a small object, whatever was there."""
        with self._translated_errors():
            obstore.put(self.objects, path, content)

    def remove(self, path: str) -> None:
        """Delete an object; nothing happens where there is none."""
        with self._translated_errors():
            try:
                obstore.delete(self.objects, path)
            except FileNotFoundError as error:
                if self._container_is_missing(error):
                    raise

    def upload(self, path: str, content: Iterable[bytes]) -> None:
        """Write a large object, visible when all of it has arrived; an error in `content` leaves nothing."""
        with self._translated_errors():
            cancellation.current().call(
                lambda: obstore.put(
                    self.objects, path, iter(content), chunk_size=self.part, max_concurrency=IN_FLIGHT
                )
            )

    def download(self, blob: Blob) -> Iterator[memoryview]:
        """An object's content in order, while the next parts are on their way.

        `StoreUnavailable` when the connection breaks, or the object is replaced meanwhile.
        """
        starts = iter(range(0, blob.size, self.part))
        pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="download")
        coming: deque[Future[memoryview]] = deque()
        try:
            coming.extend(pool.submit(self._part, blob, start) for start in islice(starts, IN_FLIGHT))
            while coming:
                yield coming.popleft().result()
                coming.extend(pool.submit(self._part, blob, start) for start in islice(starts, 1))
        finally:
            pool.shutdown(cancel_futures=True)

    def _part(self, blob: Blob, start: int) -> memoryview:
        end = min(start + self.part, blob.size)
        part: obstore.GetOptions = {"range": (start, end), "if_match": blob.etag}
        with self._translated_errors():
            return cancellation.current().call(
                lambda: memoryview(obstore.get(self.objects, blob.path, options=part).bytes())
            )

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            # not chained: the cause's text holds the request, whose URL can be signed
            raise self._as_ours(error) from None

    def _as_ours(self, error: BaseError | OSError) -> SlipwayError:
        """The error by whose move it is: the HTTP status and the store's own error code decide."""
        text = str(error)
        status = int(match[1]) if (match := re.search(r"status code: (\d{3})", text)) else None
        code = match[1] if (match := re.search(r"<Code>(\w+)</Code>", text)) else ""
        codes = " ".join(filter(None, [str(status or ""), code]))
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in {401, 403}:
            reason = codes or "no identity was found on this machine"
            return CredentialsRefused(
                f"{self.place} refuses our credentials ({reason}).", self.how_to_sign_in
            )
        if self._container_is_missing(error):
            return ModelNotFound(f"There is no {self.place}.", self.how_to_create)
        if isinstance(error, PreconditionError):
            return StoreUnavailable(f"An object in {self.place} was replaced while it was read.")
        if code == _OVERTAKEN:
            return StoreUnavailable(f"Another writer of the same object in {self.place} was faster.")
        if status is not None and status < 500 and status not in _PASSES_BY_ITSELF:
            return SettingsError(
                f"{self.place} refuses the request ({codes}).",
                "Check [model] in slipway.toml, and the block that its credentials name.",
            )
        return StoreUnavailable(
            f"{self.place} can't be reached, or broke off ({codes or _network_reason(text)}).",
            "Check that it runs and that this machine reaches it.",
        )

    def _container_is_missing(self, error: Exception) -> bool:
        return any(code in str(error) for code in _MISSING_CONTAINERS)


def _blob(meta: Mapping[str, Any]) -> Blob:
    return Blob(meta["path"], meta["size"], meta["last_modified"], meta["e_tag"])


def _network_reason(text: str) -> str:
    """The innermost reason that the HTTP client gives, e.g. "Connection refused"."""
    for pattern in (r'(?:message|error): "([^"]+)"', r"kind: (\w+)"):
        if reasons := re.findall(pattern, text):
            return str(reasons[-1])
    return text.splitlines()[0]
