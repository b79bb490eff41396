"""The reports of duels in the results storage: one HTML file per flow run."""

from dataclasses import dataclass
from datetime import datetime

from flows.services.models.blob_store import Blob, BlobStore

LARGEST = 32 << 20
"""Bytes of a report that are read."""


@dataclass(frozen=True)
class DuelReports:
    """The reports in one folder of a store ("": at its root). Every method raises what `BlobStore` raises."""

    blobs: BlobStore
    folder: str = ""

    def keep(self, run: str, page: str) -> None:
        """Keep the report of that run, in place of an earlier one."""
        self.blobs.replace(self._path(run), page.encode())

    def find(self, run: str) -> bytes | None:
        """The report of that run; None where it held no duel, or the report was deleted."""
        return self.blobs.read(self._path(run), LARGEST)

    def older_than(self, time: datetime) -> list[Blob]:
        """The reports from before `time`."""
        return [blob for blob in self.blobs.list_folder(self._folder) if blob.modified < time]

    @property
    def _folder(self) -> str:
        return f"{self.folder.strip('/')}/duels" if self.folder.strip("/") else "duels"

    def _path(self, run: str) -> str:
        return f"{self._folder}/{run}.html"
