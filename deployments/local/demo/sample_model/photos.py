"""Real photographs, from scikit-image's data folder, and what the network sees of them."""

import io
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image, ImageOps

PREPROCESSING = {
    "mode": "RGB",
    "shorter_side": 256,
    "crop": 224,
    "resample": "bicubic",
    "mean": [127.0],
    "std": [128.0],
    "layout": "NCHW",
}
"""As a manifest says it; `prepare` is the same in code."""

EXAMPLES = ("chelsea.png", "coffee.png", "motorcycle_left.png")
CALIBRATION = (*EXAMPLES, "motorcycle_right.png", "astronaut.png", "rocket.jpg", "hubble_deep_field.jpg")

# 3:2, and 480 x 320 scales to 384 x 256 without a remainder: no rounding enters the expected answer.
EXAMPLE_SIZE = (480, 320)


def photo(name: str) -> Image.Image:
    """One photograph, in colour."""
    with Image.open(Path(skimage.__file__).parent / "data" / name) as image:
        return image.convert("RGB")


def jpeg(name: str) -> bytes:
    """A photograph as a client may send it: 480 x 320, 15 to 25 kB."""
    encoded = io.BytesIO()
    ImageOps.fit(photo(name), EXAMPLE_SIZE).save(encoded, "JPEG", quality=60, optimize=True)
    return encoded.getvalue()


def prepare(image: Image.Image) -> NDArray[np.float32]:
    """The network's input [1, 3, 224, 224]: shorter side to 256, centre 224, (value - 127) / 128."""
    scale = 256 / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - 224) // 2, (height - 224) // 2
    cropped = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float32)
    scaled = (cropped - np.float32(127)) / np.float32(128)
    return scaled.transpose(2, 0, 1)[np.newaxis]
