"""One container of a blob store, read and written in bounded memory; its errors are ours.

obstore gives Azure Blob Storage, S3 and folders one interface (`blob_providers` opens them); large objects
move in several parts at a time.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
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

from flows.core.errors import ModelNotFound, ObjectReplaced, PermanentError, SlipwayError, StoreUnavailable
from flows.services.models import store_errors
from flows.services.process import cancellation
from flows.services.process.network_faults import permanent_fault

SMALL = 1 << 20
"""Bytes that a small object may have, unless its reader says otherwise."""

FIRST_BYTE, SLOWEST = 60, 256 << 10
"""Seconds until a small object begins to come, and bytes of it that come in a second, at the least."""

MOST = 100_000
"""Objects of one folder that are listed."""

IN_FLIGHT = 4
"""Parts on their way at a time, in 150 MB of memory: one would do on loopback, but not across a network."""

PAUSES = (0.5, 2.0, 6.0)
"""Seconds before each further try for one part of a download."""

_REFUSED = (PermissionDeniedError, UnauthenticatedError)
_NO_VERSION = ("InvalidQueryParameterValue", "InvalidArgument", "NoSuchVersion")
_MISSING_CONTAINERS = ("ContainerNotFound", "NoSuchBucket")


class SignIn:
    """Gives obstore credentials whenever it asks, and keeps why it got none."""

    def __init__(self, credentials: Callable[[], Any]) -> None:
        self._credentials = credentials
        self.refused: SlipwayError | None = None

    def __call__(self) -> Any:
        """What obstore takes: a dictionary with `expires_at`."""
        try:
            found = self._credentials()
        except SlipwayError as error:
            self.refused = error
            raise
        self.refused = None
        return found


@dataclass(frozen=True)
class Blob:
    """An object's path in its container, its size in bytes, and the etag that changes with its content.

    `version` is the store's id of this content, where it keeps versions; lists don't tell it.
    """

    path: str
    size: int
    modified: datetime
    etag: str | None
    version: str | None = None


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
    sign_in: SignIn | None = None
    part: int = 8 << 20
    pauses: tuple[float, ...] = PAUSES

    def read(self, path: str, limit: int = SMALL, version: str | None = None) -> bytes | None:
        """A small object's content, or that of one version; None when there is no such object.

        `PermanentError` where it has more than `limit` bytes: none of them is read. `StoreUnavailable` where
        it does not come in time.
        """
        seconds = FIRST_BYTE + limit / SLOWEST
        with self._translated_errors():
            try:
                with _no_version_is_none(version):
                    return cancellation.current().call(partial(self._small, path, limit, version), seconds)
            except TimeoutError as late:
                raise StoreUnavailable(
                    f"{path} in {self.place} did not come within {seconds:.0f} s."
                ) from late
            except FileNotFoundError as error:
                if self._container_is_missing(error):
                    raise
                return None

    def _small(self, path: str, limit: int, version: str | None = None) -> bytes:
        wanted: obstore.GetOptions = {} if version is None else {"version": version}
        found = obstore.get(self.objects, path, options=wanted)
        if (size := found.meta["size"]) <= limit:
            return bytes(found.bytes())
        raise PermanentError(
            f"{path} in {self.place} has {size} bytes; at most {limit} are read.",
            "Find out who wrote it, and delete it.",
        )

    def find(self, path: str, version: str | None = None) -> Blob | None:
        """What is known of an object, or of one version, without reading it; None when there is none."""
        wanted: obstore.GetOptions = {"head": True}
        if version is not None:
            wanted["version"] = version
        with self._translated_errors():
            try:
                with _no_version_is_none(version):
                    return _blob(obstore.get(self.objects, path, options=wanted).meta)
            except FileNotFoundError:
                return None

    def list_folder(self, folder: str) -> list[Blob]:
        """All objects below `folder`, however deep; `PermanentError` where there are more than `MOST`."""
        found: list[Blob] = []
        with self._translated_errors():
            for some in obstore.list(self.objects, folder):
                found += [_blob(meta) for meta in some]
                if len(found) > MOST:
                    raise PermanentError(
                        f"{folder} in {self.place} holds more than {MOST} objects.",
                        "Find out who wrote them, and delete them.",
                    )
        return found

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

    def upload(self, path: str, content: Iterable[bytes]) -> str | None:
        """Write a large object, visible when all of it has arrived; an error in `content` leaves nothing.

        The store's id of this version, where it keeps versions.
        """
        with self._translated_errors():
            written = cancellation.current().call(
                lambda: obstore.put(
                    self.objects, path, iter(content), chunk_size=self.part, max_concurrency=IN_FLIGHT
                )
            )
        return _version(written)

    def download(self, blob: Blob) -> Iterator[memoryview]:
        """An object's content in order, while the next parts are on their way.

        A part whose connection breaks is asked for again. `StoreUnavailable` when that does not help, and
        `ObjectReplaced` when the object is replaced meanwhile.
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
        if blob.version is not None:
            part["version"] = blob.version
        for pause in (*self.pauses, None):
            try:
                return self._ranged(blob.path, part)
            except ObjectReplaced:
                raise
            except StoreUnavailable:
                if pause is None:
                    raise
                cancellation.current().call(partial(time.sleep, pause))
        raise AssertionError("the last try returns or raises")

    def _ranged(self, path: str, part: "obstore.GetOptions") -> memoryview:
        with self._translated_errors():
            return cancellation.current().call(
                lambda: memoryview(obstore.get(self.objects, path, options=part).bytes())
            )

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            # not chained: the cause's text holds the request, whose URL can be signed
            raise self._as_ours(error) from None

    def _as_ours(self, error: BaseError | OSError) -> SlipwayError:
        """The error by whose move it is."""
        refused = None if self.sign_in is None else self.sign_in.refused
        if refused is not None and isinstance(error, UnauthenticatedError):
            return refused
        said = str(error)
        answer = store_errors.read(said)
        if store_errors.is_refusal(answer) or (answer.status is None and isinstance(error, _REFUSED)):
            return store_errors.refusal(answer, self.place, self.how_to_sign_in)
        if self._container_is_missing(error):
            return ModelNotFound(f"There is no {self.place}.", self.how_to_create)
        if isinstance(error, PreconditionError):
            return ObjectReplaced(f"An object in {self.place} was replaced while it was read.")
        if answer.status is None and (fault := permanent_fault(self.place, answer.asked, said)):
            return fault
        return store_errors.failure(answer, self.place)

    def _container_is_missing(self, error: Exception) -> bool:
        return any(code in str(error) for code in _MISSING_CONTAINERS)


@contextlib.contextmanager
def _no_version_is_none(version: str | None) -> Iterator[None]:
    """`FileNotFoundError` where that is no id of a version here, as after a move from another store."""
    try:
        yield
    except BaseError as error:
        answer = store_errors.read(str(error))
        # an answer to HEAD has no body, and so no code
        if version is not None and (answer.code in _NO_VERSION or (answer.status == 400 and not answer.code)):
            raise FileNotFoundError(version) from None
        raise


def _blob(meta: Mapping[str, Any]) -> Blob:
    return Blob(meta["path"], meta["size"], meta["last_modified"], meta["e_tag"], _version(meta))


def _version(meta: Mapping[str, Any]) -> str | None:
    """The id of this content; S3 calls what is overwritten without a trace the version "null"."""
    version = meta["version"]
    return None if version in {None, "null"} else str(version)
