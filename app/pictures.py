"""Files from strangers, decoded to pictures: limits are checked before memory is spent."""

import struct
import threading
import zlib
from contextlib import nullcontext
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image

from app.problems import DAMAGED_PICTURE, MAX_PIXELS, NOT_A_PICTURE, TOO_MANY_PIXELS, Problem
from app.submission import Upload

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Pillow knows more formats, some of which start other programs."""
DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise for damaged files."""
UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation."""

_LARGE = 8_000_000
_one_large_at_a_time = threading.Lock()


def decode(upload: Upload, mode: str, shorter_side: int) -> Image.Image:
    """The upright picture in `mode` (RGB or L); of an animation, its first frame.

    A JPEG is decoded at a half, quarter or eighth of its size as long as its shorter side keeps
    `shorter_side` pixels. Transparent parts become white. Raises Problem.
    """
    picture = _open(upload)
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise _too_many_pixels(upload)
    if picture.mode == "F":
        raise upload.problem(NOT_A_PICTURE, "has floating-point pixels, which say nothing about brightness")
    try:
        # A large picture takes hundreds of MB while it is decoded, and every thread could be at one.
        with _one_large_at_a_time if pixels > _LARGE else nullcontext():
            picture.draft(None, (shorter_side, shorter_side))
            picture.load()
            return _upright(_in_mode(picture, mode), _orientation(picture))
    except DECODING_ERRORS as error:
        raise upload.problem(DAMAGED_PICTURE, f"is truncated or damaged: {error}") from error


def _open(upload: Upload) -> Image.Image:
    """The picture with its header read and nothing decoded."""
    try:
        return Image.open(BytesIO(upload.content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(upload) from error
    except DECODING_ERRORS as error:
        known = ", ".join(FORMATS)
        raise upload.problem(NOT_A_PICTURE, f"is not a picture that can be read ({known})") from error


def _too_many_pixels(upload: Upload) -> Problem:
    return upload.problem(TOO_MANY_PIXELS, f"has more than {MAX_PIXELS // 1_000_000} megapixels")


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip and not scale
        return Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8)).convert(mode)
    if picture.has_transparency_data:
        opaque = Image.new("RGB", picture.size, "white")
        opaque.paste(picture, mask=picture.convert("RGBA").getchannel("A"))
        picture = opaque
    return picture if picture.mode == mode else picture.convert(mode)


def _orientation(picture: Image.Image) -> object:
    try:
        return picture.getexif().get(ExifTags.Base.Orientation)
    except DECODING_ERRORS:
        return None  # damaged notes about a picture are no reason to refuse the picture


def _upright(picture: Image.Image, orientation: object) -> Image.Image:
    turn = UPRIGHT.get(orientation)
    return picture if turn is None else picture.transpose(turn)
