"""Pictures as the bytes of files."""

import struct
import zlib
from base64 import b64encode
from io import BytesIO
from typing import Any

from PIL import Image


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def filled(colour: Any, mode: str = "RGB", size: tuple[int, int] = (16, 16), kind: str = "PNG") -> bytes:
    return encoded(Image.new(mode, size, colour), kind)


def base64(content: bytes) -> str:
    return b64encode(content).decode()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and ends there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + end
