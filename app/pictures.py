"""Files from strangers, decoded to pictures: limits are checked before memory is spent."""

import fcntl
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from app.problems import DAMAGED_PICTURE, MAX_PIXELS, NOT_A_PICTURE, TOO_MANY_PIXELS, Problem
from app.submission import Upload

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""What cameras and browsers produce. Pillow knows more; some of those start other programs."""
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
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise for damaged files."""
Image.init()  # loads the decoders now, and not when the first picture waits for them
warnings.filterwarnings("ignore", module=r"PIL\.")  # strangers would write our log, line by line

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

LARGE = 8_000_000
"""Pixels from which a picture takes 100 MB and more while it is decoded (a WebP of the largest size 800)."""


def decode(upload: Upload, mode: str, shorter_side: int) -> Image.Image:
    """The upright picture in `mode` (RGB or L); of an animation, its first frame.

    What is much larger is halved, quartered and so on, as long as its shorter side keeps `shorter_side`
    pixels. Transparent parts become white. Raises Problem.
    """
    picture = _open(upload)
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise _too_many_pixels(upload)
    with _one_at_a_time() if pixels > LARGE else nullcontext():
        try:
            picture.draft(None, (shorter_side, shorter_side))
            picture.load()
            orientation = _orientation(picture)
            picture = _opaque(_reduced(_in_channels(picture), shorter_side))
            return _upright(picture.convert(mode), orientation)
        except DECODING_ERRORS as error:
            raise upload.problem(DAMAGED_PICTURE, f"is truncated or damaged: {error}") from error


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Holds a lock across the threads of all workers, so that large pictures share a pod's memory in turn."""
    with Path(__file__).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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


def _in_channels(picture: Image.Image) -> Image.Image:
    """Palettes, single bits and 16 bits a pixel as channels of 8 bits, with which Pillow can calculate."""
    if picture.mode.startswith("I"):  # Pillow would clip and not scale
        return Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8))
    if picture.mode in ("P", "PA", "1"):
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return picture


def _reduced(picture: Image.Image, shorter_side: int) -> Image.Image:
    factor = min(picture.size) // shorter_side
    return picture.reduce(factor) if factor > 1 else picture


def _opaque(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    opaque = Image.new("RGB", picture.size, "white")
    opaque.paste(picture, mask=picture.getchannel("A"))
    return opaque


def _orientation(picture: Image.Image) -> object:
    try:
        return picture.getexif().get(ExifTags.Base.Orientation)
    except DECODING_ERRORS:
        return None  # damaged notes about a picture are no reason to refuse the picture


def _upright(picture: Image.Image, orientation: object) -> Image.Image:
    turn = UPRIGHT.get(orientation)
    return picture if turn is None else picture.transpose(turn)
