"""A golden set as files: read from its author's folder, packed into one archive, and read from that."""

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flows.core.duel import golden_set
from flows.core.duel.golden_set import INPUTS, MANIFEST, Draft, GoldenExample, GoldenSet, InputFile
from flows.core.errors import GoldenSetRejected
from flows.core.local_time import rfc3339


def pack(folder: Path, archive: Path, *, name: str, version: str) -> GoldenSet:
    """The golden set of an author's folder; its inputs are written to `archive`.

    Equal inputs give an equal archive. Without a version, the hash of its content is it. `GoldenSetRejected`
    says what is wrong: with the manifest, or with an input that is missing, repeated or too large.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise GoldenSetRejected(
            f"There is no file {manifest}.", "Put manifest.json and the inputs into one folder."
        )
    if (size := manifest.stat().st_size) > golden_set.MANIFEST_LIMIT:
        raise GoldenSetRejected(f"{manifest} has {size} bytes.", "Publish fewer examples.")
    author = golden_set.draft(manifest.read_bytes(), source=str(manifest))
    golden_set.require_total(sum(_file(folder, example.input).stat().st_size for example in author.examples))
    inputs = _write(folder, author, archive)
    with archive.open("rb") as content:
        digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
    return golden_set.complete(
        author,
        inputs,
        name=name,
        version=version,
        digest=digest,
        size=archive.stat().st_size,
        created=rfc3339(datetime.now(UTC)),
    )


@dataclass(frozen=True)
class Inputs:
    """The inputs of a golden set that was fetched."""

    _archive: tarfile.TarFile

    def read(self, example: GoldenExample) -> bytes:
        """The input of one example; `GoldenSetRejected` where the archive does not hold it."""
        try:
            found = self._archive.getmember(example.input)
            file = self._archive.extractfile(found) if found.isreg() else None
        except (KeyError, tarfile.TarError) as error:
            raise _lacking(example.input) from error
        if file is None or found.size != example.size:
            raise _lacking(example.input)
        return file.read()


@contextmanager
def opened(folder: Path) -> Iterator[Inputs]:
    """The inputs in the folder of a golden set; `GoldenSetRejected` where they are no archive."""
    try:
        with tarfile.open(folder / INPUTS, "r:") as archive:
            yield Inputs(archive)
    except tarfile.ReadError as error:
        raise GoldenSetRejected(f"{INPUTS} of the golden set can't be read: {error}.") from error


def _write(folder: Path, author: Draft, archive: Path) -> dict[str, InputFile]:
    """Pack the inputs in the order of the examples; what was read of each."""
    inputs = {}
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as packed:
        for example in author.examples:
            content = _file(folder, example.input).open("rb")
            with content:
                digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
                entry = tarfile.TarInfo(example.input)  # without owner and time: the content alone counts
                entry.size = content.tell()
                content.seek(0)
                packed.addfile(entry, content)
            inputs[example.input] = InputFile(entry.size, digest)
    return inputs


def _file(folder: Path, name: str) -> Path:
    """The file of that input: one of the folder, and not what a link leads to elsewhere."""
    file = (folder / name).resolve()
    if not file.is_file() or not file.is_relative_to(folder.resolve()):
        raise GoldenSetRejected(
            f"{folder} holds no file {name}, which its manifest names.",
            "Put the input there, or remove its example.",
        )
    return file


def _lacking(name: str) -> GoldenSetRejected:
    return GoldenSetRejected(f"The golden set's archive holds no {name} as its manifest describes it.")
