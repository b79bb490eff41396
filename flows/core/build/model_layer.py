"""The model's layer: an uncompressed tar, written here so that equal models give equal bytes for ever.

No library's version is in it: the headers are those of POSIX.1-1988 (ustar), sizes from 8 GiB on are GNU's
base-256, owner and time are 0. Its length is known before a byte of the model is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

BLOCK = 512
FOLDER, FILE = (0o755, b"5"), (0o644, b"0")
"""Rights and type: every user may read, and none but root write."""

OPAQUE = ".wh..wh..opq"
"""Hides what layers below have in the folder (OCI image specification, "Opaque Whiteout")."""

OCTAL_SIZE = 8 << 30
LONGEST_NAME = 100


@dataclass(frozen=True)
class Part:
    """What the layer holds next: these bytes, then the named file ("": none), then so many zeros."""

    header: bytes
    file: str = ""
    size: int = 0

    @property
    def padding(self) -> int:
        """Zeros up to the next block."""
        return -self.size % BLOCK


END = Part(bytes(2 * BLOCK))


def layout(path: str, files: Mapping[str, int]) -> list[Part]:
    """The parts of the layer that puts files into the folder `path`; `files` are their names with their sizes
    in bytes.

    The folders above are named, too: an engine gives those that it makes itself rights of its own.
    """
    return list(_parts(PurePosixPath(path.lstrip("/")), files))


def length(parts: list[Part]) -> int:
    """Bytes of the layer."""
    return sum(len(part.header) + part.size + part.padding for part in parts)


def _parts(folder: PurePosixPath, files: Mapping[str, int]) -> Iterator[Part]:
    for above in (*reversed(folder.parents[:-1]), folder):
        yield Part(_header(f"{above}/", 0, *FOLDER))
    yield Part(_header(f"{folder}/{OPAQUE}", 0, *FILE))
    for name in sorted(files):
        yield Part(_header(f"{folder}/{name}", files[name], *FILE), name, files[name])
    yield END


def _header(name: str, size: int, mode: int, kind: bytes) -> bytes:
    encoded = name.encode()
    assert len(encoded) <= LONGEST_NAME, "settings allow no longer path"
    block = bytearray(BLOCK)
    block[0 : len(encoded)] = encoded
    block[100:108] = b"%07o\0" % mode
    block[108:116] = block[116:124] = b"%07o\0" % 0
    block[124:136] = b"%011o\0" % size if size < OCTAL_SIZE else b"\x80" + size.to_bytes(11, "big")
    block[136:148] = b"%011o\0" % 0
    block[148:156] = b" " * 8  # the sum is made with blanks in its place
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
