"""What is remembered of tests that passed, in a blob store: one small file per capsule, and no failure ever.

A capsule covers all that the tests see: code, model, base image and build settings. What can't be read as
such a memory is none.
"""

from dataclasses import dataclass
from datetime import datetime

from flows.core.build.capsule import Capsule
from flows.core.build.test_results import Passed
from flows.services.models.blob_store import Blob, BlobStore


@dataclass(frozen=True)
class TestCache:
    """Those in one folder of a store ("": at its root). Every method raises what `BlobStore` raises."""

    blobs: BlobStore
    folder: str = ""

    def find(self, capsule: Capsule) -> Passed | None:
        """When this capsule's tests passed; None where they did not, or that is not known."""
        content = self.blobs.read(self._path(capsule))
        return Passed.from_bytes(content) if content else None

    def keep(self, capsule: Capsule, passed: Passed) -> None:
        """Remember it, in place of an earlier time."""
        self.blobs.replace(self._path(capsule), passed.to_bytes())

    def forget(self, capsule: Capsule) -> None:
        """Know nothing of this capsule any more."""
        self.blobs.remove(self._path(capsule))

    def older_than(self, time: datetime) -> list[Blob]:
        """Those that passed before `time`."""
        return [blob for blob in self.blobs.list_folder(self._folder) if blob.modified < time]

    @property
    def _folder(self) -> str:
        return f"{self.folder.strip('/')}/tests" if self.folder.strip("/") else "tests"

    def _path(self, capsule: Capsule) -> str:
        return f"{self._folder}/{capsule.hash}.json"
