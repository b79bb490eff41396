"""A picture as the model wants it: scaled, cropped, normalised, in its layout."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.model import Preprocessing

Tensor = NDArray[np.float32]
Box = tuple[float, float, float, float]


def to_tensor(picture: Image.Image, steps: Preprocessing) -> Tensor:
    """The model's input for one picture of mode `steps.mode`: float32, a batch of one in `steps.layout`."""
    side = steps.crop
    scaled = picture.resize(
        (side, side), Image.Resampling[steps.resample.upper()], box=seen_region(picture.size, steps)
    )
    values: Tensor = np.asarray(scaled, dtype=np.float32).reshape(1, side, side, -1)
    mean, std = (np.asarray(numbers, dtype=np.float32) for numbers in (steps.mean, steps.std))
    values = (values - mean) / std
    if steps.layout == "NCHW":
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    return values.reshape(1, -1) if steps.layout == "flat" else values


def seen_region(size: tuple[int, int], steps: Preprocessing) -> Box:
    """What the model sees of a picture of this size (width, height), in its pixels: left, top, right, bottom.

    Scaling this region to crop x crop gives the same pixels as scaling the whole picture and cropping that,
    and takes memory only for what is seen: a picture of 50 000 x 1 pixels does not become 12.8 million wide.
    """
    if steps.shorter_side is None:
        return (0, 0, *size)
    scale = steps.shorter_side / min(size)
    width, height = size
    left, right = _central_span(width, round(width * scale), steps.crop)
    top, bottom = _central_span(height, round(height * scale), steps.crop)
    return (left, top, right, bottom)


def _central_span(length: int, scaled: int, crop: int) -> tuple[float, float]:
    start = (scaled - crop) // 2
    return start * length / scaled, min((start + crop) * length / scaled, length)
