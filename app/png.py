"""PNG files without their notes: text and colour profiles may unpack to more than the decoder allows."""

import struct

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">I4s")
_CHECKSUM = 4
_NOTES = {b"zTXt", b"iTXt", b"tEXt", b"iCCP"}
_ORIENTED = b"XML:com.adobe.xmp\x00\x00"
"""The beginning of the one note that is read, uncompressed: it may say how the picture is turned."""


def without_notes(content: bytes) -> bytes:
    """The file without its notes; unchanged where it is no PNG, or has none. Its pixels stay."""
    if not content.startswith(_SIGNATURE):
        return content
    kept, at, begins = [], len(_SIGNATURE), 0
    while at + _HEADER.size <= len(content):
        length, kind = _HEADER.unpack_from(content, at)
        end = at + _HEADER.size + length + _CHECKSUM
        if kind in _NOTES and not content.startswith(_ORIENTED, at + _HEADER.size):
            kept.append(content[begins:at])
            begins = end
        if kind == b"IEND":
            break
        at = end
    return b"".join([*kept, content[begins:]]) if kept else content
