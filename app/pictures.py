"""Files from strangers, decoded to pictures: limits are checked before memory is spent."""

import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image

from app.png import without_notes
from app.problems import (
    DAMAGED_PICTURE,
    MAX_PIXELS,
    MAX_PIXELS_TOGETHER,
    NOT_A_PICTURE,
    TOO_MANY_PIXELS,
    TOO_MUCH_TOGETHER,
    Problem,
)
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
warnings.filterwarnings("ignore", module=r"PIL\.")  # else a stranger's files would write lines to our log

_START_OF_SCAN = b"\xff\xda"
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

JPEG = ("JPEG", "MPO")
BYTES_A_PIXEL = {"JPEG": 4, "MPO": 4, "WEBP": 16}
"""Memory that decoding takes, as measured; eight for other formats, of which 16 bits a pixel take most."""


@dataclass(frozen=True)
class Picture:
    """A picture whose header is read, and nothing decoded."""

    upload: Upload
    image: Image.Image

    @property
    def memory(self) -> int:
        """Bytes that decoding takes at most."""
        return self._area * BYTES_A_PIXEL.get(self.image.format or "", 8)

    @property
    def work(self) -> float:
        """How long decoding takes: as long as that of a PNG with so many pixels.

        A JPEG is decoded at a fraction of its size, so its pixels count a sixteenth. With many scans, they
        count a fortieth for each scan.
        """
        if self.image.format not in JPEG:
            return self._area
        return self._area * max(1 / 16, self.upload.content.count(_START_OF_SCAN) / 40)

    @property
    def _area(self) -> int:
        return self.image.width * self.image.height

    def decoded(self, mode: str, shorter_side: int) -> Image.Image:
        """The upright picture in `mode` (RGB or L); of an animation, its first frame.

        A much larger picture is reduced by a whole factor, so that its shorter side keeps at least
        `shorter_side` pixels. Transparent parts become white. Raises Problem.
        """
        picture = self.image
        try:
            picture.draft(None, (shorter_side, shorter_side))
            picture.load()
            orientation = _orientation(picture)
            picture = _opaque(_reduced(_in_channels(picture), shorter_side))
            return _upright(picture.convert(mode), orientation)
        except DECODING_ERRORS as error:
            raise self.upload.problem(DAMAGED_PICTURE, f"is truncated or damaged: {error}") from error
        finally:
            self.image.close()


def open_pictures(uploads: Sequence[Upload]) -> list[Picture]:
    """The pictures, by their headers alone. Raises Problem where they are too large, each or together."""
    pictures = [_open(upload) for upload in uploads]
    if (work := sum(picture.work for picture in pictures)) > MAX_PIXELS_TOGETHER:
        raise Problem(
            TOO_MUCH_TOGETHER,
            f"The pictures count {work / 1_000_000:.0f} megapixels together, a JPEG's a sixteenth or more; "
            f"{MAX_PIXELS_TOGETHER // 1_000_000} are allowed. Send them in several requests.",
        )
    return pictures


def _open(upload: Upload) -> Picture:
    try:
        image = Image.open(BytesIO(without_notes(upload.content)), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(upload) from error
    except DECODING_ERRORS as error:
        known = ", ".join(FORMATS)
        raise upload.problem(NOT_A_PICTURE, f"is not a picture that can be read ({known})") from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(upload)
    return Picture(upload, image)


def _too_many_pixels(upload: Upload) -> Problem:
    return upload.problem(TOO_MANY_PIXELS, f"has more than {MAX_PIXELS // 1_000_000} megapixels")


def _in_channels(picture: Image.Image) -> Image.Image:
    """Palettes, single bits and 16 bits a pixel as channels of 8 bits, with which Pillow can calculate."""
    if picture.mode.startswith("I"):
        return _in_eight_bits(picture)
    if picture.mode in ("P", "PA", "1"):
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return picture


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits, which Pillow would clip and not scale, and whose transparent shade it would forget."""
    shades = np.asarray(picture)
    grey = Image.fromarray((shades.clip(0, 65535) // 257).astype(np.uint8))
    if isinstance(transparent := picture.info.get("transparency"), int):
        grey.putalpha(Image.fromarray((shades != transparent).astype(np.uint8) * np.uint8(255)))
    return grey


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
