"""The list of images that are in a registry without a tag: one small file for each, in a blob store.

A registry lists tags alone, so that an image whose trial failed could not be found again. The file is written
before the image is put, and deleted once the image has its tag.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel

from flows.core.build.image import Image
from flows.core.build.image_retention import Untagged
from flows.core.untrusted import Instant, parsed_json
from flows.services.models.blob_store import BlobStore

NOTE = re.compile(r"([0-9a-f]{64})\.json")


@dataclass(frozen=True)
class UntaggedImages:
    """Those of one repository, such as `localhost:5001/slipway/classifier`, in one folder of a store ("": at
    its root). Every method raises what `BlobStore` raises."""

    blobs: BlobStore
    folder: str
    repository: str

    def note(self, image: Image, run: str) -> None:
        """Remember an image that is about to be put, in that run."""
        content = {"image": str(image), "run": run, "since": datetime.now(UTC).isoformat()}
        self.blobs.replace(self._path(image.digest), json.dumps(content).encode())

    def forget(self, digest: str) -> None:
        """The image has a tag now, or is gone."""
        self.blobs.remove(self._path(digest))

    def find(self, digest: str) -> Untagged | None:
        """What is noted of that image; None where nothing is, or the file is damaged."""
        try:
            noted = _Note.model_validate(parsed_json(self.blobs.read(self._path(digest)) or b""))
        except ValueError:  # pydantic's, too
            return None
        return Untagged(digest, noted.run, noted.since)

    def before(self, time: datetime) -> Iterator[Untagged]:
        """Those that were noted before that time."""
        for blob in self.blobs.list_folder(self._folder):
            name = NOTE.fullmatch(blob.path.rpartition("/")[2])
            if name and blob.modified < time and (noted := self.find(f"sha256:{name[1]}")):
                yield noted

    @property
    def _folder(self) -> str:
        """One for each repository: several may share the store."""
        own = hashlib.sha256(self.repository.encode()).hexdigest()[:16]
        return "/".join(filter(None, (self.folder.strip("/"), "untagged", own)))

    def _path(self, digest: str) -> str:
        return f"{self._folder}/{digest.removeprefix('sha256:')}.json"


class _Note(BaseModel):
    run: str
    since: Instant
