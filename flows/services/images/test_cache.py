"""Tests that passed, remembered in a blob store: one small file per key. Failures are not remembered.

A key covers all that the tests see (code, base image and build settings, but not the model) and the level of
trust of the commit. A user who may write to the store can't forge a pass: each file holds its key, and is
authenticated with a secret of the workers. A file that can't be read so counts as no pass.
"""

from dataclasses import dataclass
from datetime import datetime

from flows.core.build.capsule import Capsule
from flows.core.build.test_results import Passed
from flows.core.build.trust import Trust
from flows.services.models.blob_store import Blob, BlobStore


def key_of(capsule: Capsule, trust: Trust) -> str:
    """The key of the tests that the capsule's code passes in runs of that level of trust."""
    return f"{trust.prefix}{capsule.code}"


@dataclass(frozen=True)
class TestCache:
    """The passes in one folder of a store ("": at its root). Every method raises what `BlobStore` raises."""

    __test__ = False

    blobs: BlobStore
    folder: str = ""

    def find(self, key: str, secret: str) -> Passed | None:
        """When the tests of that key passed; None where they did not, or that is not known for certain."""
        content = self.blobs.read(self._path(key))
        return Passed.from_bytes(content, key, secret) if content else None

    def keep(self, key: str, passed: Passed, secret: str) -> None:
        """Remember it, in place of an earlier time."""
        self.blobs.replace(self._path(key), passed.to_bytes(key, secret))

    def forget(self, key: str) -> None:
        """Delete what is remembered of these tests."""
        self.blobs.remove(self._path(key))

    def older_than(self, time: datetime) -> list[Blob]:
        """The passes from before `time`."""
        return [blob for blob in self.blobs.list_folder(self._folder) if blob.modified < time]

    @property
    def _folder(self) -> str:
        return f"{self.folder.strip('/')}/tests" if self.folder.strip("/") else "tests"

    def _path(self, key: str) -> str:
        return f"{self._folder}/{key}.json"
