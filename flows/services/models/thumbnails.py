"""Small pictures of inputs for reports; what is no picture has none."""

import io
import warnings

from PIL import Image, UnidentifiedImageError

from flows.core.duel.page import Thumbnail

SIDE, SMALLEST = 96, 48
"""Pixels: the longer side at most, and at least for pictures that are smaller."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 50_000_000
"""Pixels of a picture that is opened, as the sample application takes them."""


def thumbnail(content: bytes) -> Thumbnail | None:
    """A small PNG of the picture; None where it is none of `FORMATS`, is damaged, or has too many pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    return None
                picture.draft("RGB", (SIDE, SIDE))  # a JPEG is decoded at a fraction of its size
                small = _scaled(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombWarning):
        return None
    except Image.DecompressionBombError:
        return None
    file = io.BytesIO()
    small.save(file, "PNG")
    return Thumbnail(file.getvalue())


def _scaled(picture: Image.Image) -> Image.Image:
    longer = max(picture.size)
    if longer > SIDE:
        picture.thumbnail((SIDE, SIDE))
        return picture
    factor = -(-SMALLEST // longer) if longer < SMALLEST else 1
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST)
