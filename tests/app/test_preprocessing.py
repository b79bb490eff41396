import numpy as np
import pytest
from PIL import Image

from app.model import Preprocessing
from app.preprocessing import seen_region, to_tensor

COLOUR = Preprocessing("RGB", 256, 224, "bicubic", (127.0,), (128.0,), "NCHW")
GREY = Preprocessing("L", None, 8, "bilinear", (0.0,), (255.0,), "flat")


def clouds(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(7).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(451, 300), (300, 451), (256, 256), (640, 359), (100, 90), (1023, 777)])
def test_the_same_pixels_as_from_scaling_all_and_cropping_then(size: tuple[int, int]) -> None:
    picture, scale = clouds(*size), 256 / min(size)
    width, height = (round(length * scale) for length in size)
    left, top = (width - 224) // 2, (height - 224) // 2
    scaled = picture.resize((width, height), Image.Resampling.BICUBIC).crop(
        (left, top, left + 224, top + 224)
    )
    expected = (np.asarray(scaled, np.float32) - 127) / 128
    assert np.abs(to_tensor(picture, COLOUR)[0] - expected.transpose(2, 0, 1)).max() <= 2 / 128


def test_a_picture_of_one_row_takes_no_more_memory_than_any() -> None:
    assert to_tensor(Image.new("RGB", (50_000, 1)), COLOUR).shape == (1, 3, 224, 224)
    assert seen_region((50_000, 1), COLOUR) == pytest.approx((24_999.5625, 0.0625, 25_000.4375, 0.9375))


def test_without_a_shorter_side_all_of_the_picture_is_seen() -> None:
    assert seen_region((31, 17), GREY) == (0, 0, 31, 17)


@pytest.mark.parametrize(
    ("mode", "layout", "shape"),
    [
        ("RGB", "NCHW", (1, 3, 8, 8)),
        ("RGB", "NHWC", (1, 8, 8, 3)),
        ("RGB", "flat", (1, 192)),
        ("L", "NCHW", (1, 1, 8, 8)),
        ("L", "NHWC", (1, 8, 8, 1)),
        ("L", "flat", (1, 64)),
    ],
)
def test_every_layout_is_a_batch_of_one(mode: str, layout: str, shape: tuple[int, ...]) -> None:
    steps = Preprocessing(mode, None, 8, "nearest", (0.0,), (1.0,), layout)
    tensor = to_tensor(Image.new(mode, (20, 10)), steps)
    assert tensor.shape == shape
    assert tensor.dtype == np.float32


def test_each_channel_has_its_own_mean_and_deviation() -> None:
    steps = Preprocessing("RGB", None, 1, "nearest", (10.0, 20.0, 30.0), (1.0, 2.0, 4.0), "NCHW")
    assert to_tensor(Image.new("RGB", (5, 5), (11, 24, 38)), steps).ravel().tolist() == [1.0, 2.0, 2.0]
