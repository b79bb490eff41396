from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageOps

from app.pictures import LARGE, decode
from app.submission import Upload
from tests.app.picture_files import encoded

ENOUGH = 64


def decoded(content: bytes, mode: str = "RGB") -> Image.Image:
    return decode(Upload(0, "a picture", content), mode, ENOUGH)


def quarters() -> Image.Image:
    """Wider than high, and none of its turns or reflections looks like another."""
    picture = Image.new("RGB", (60, 40), "white")
    picture.paste("red", (0, 0, 30, 20))
    picture.paste("blue", (30, 0, 60, 20))
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_photo_is_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(quarters(), kind, exif=exif, lossless=True)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(content))).convert("RGB")
    assert decoded(content).size == upright.size
    assert decoded(content).tobytes() == upright.tobytes()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_notes_about_a_photo_leave_it_as_it_is() -> None:
    picture = decoded(encoded(quarters(), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"))
    assert picture.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("LA", (40, 255), (40, 40, 40)),
        ("LA", (40, 0), (255, 255, 255)),
        ("L", 40, (40, 40, 40)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 0, (0, 0, 0)),
        ("I;16", 257 * 100, (100, 100, 100)),
        ("I;16", 65535, (255, 255, 255)),
    ],
)
def test_every_kind_of_png_has_the_colour_it_shows(
    mode: str, colour: Any, seen: tuple[int, int, int]
) -> None:
    content = encoded(Image.new(mode, (9, 9), colour))
    assert decoded(content).getpixel((4, 4)) == seen
    assert decoded(content, "L").getpixel((4, 4)) == pytest.approx(
        Image.new("RGB", (1, 1), seen).convert("L").getpixel((0, 0)), abs=1
    )


def test_a_palette_may_have_a_transparent_colour() -> None:
    picture = quarters().convert("P", palette=Image.Palette.ADAPTIVE)
    red = picture.getpixel((0, 0))
    shown = decoded(encoded(picture, transparency=red))
    assert shown.getpixel((0, 0)) == (255, 255, 255)
    assert shown.getpixel((59, 0)) == (0, 0, 255)


def test_a_photo_for_print_is_shown_in_its_colours() -> None:
    shown = decoded(encoded(quarters().convert("CMYK"), "JPEG", quality=100)).getpixel((5, 5))
    assert shown == pytest.approx((255, 0, 0), abs=3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), "blue")]
    content = encoded(Image.new("RGB", (20, 20), "red"), kind, save_all=True, append_images=frames)
    assert decoded(content).getpixel((9, 9)) == pytest.approx((255, 0, 0), abs=4)


def test_a_phones_jpeg_of_several_pictures_is_its_first() -> None:
    second = Image.new("RGB", (20, 20), "blue")
    content = encoded(Image.new("RGB", (20, 20), "red"), "MPO", save_all=True, append_images=[second])
    assert decoded(content).getpixel((9, 9)) == pytest.approx((255, 0, 0), abs=4)


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16")]
)
def test_a_large_picture_keeps_what_the_model_needs_of_it(kind: str, mode: str) -> None:
    large = Image.new(mode, (LARGE // 2000, 2001))
    shown = decoded(encoded(large, kind))
    assert min(shown.size) >= ENOUGH
    assert shown.width * shown.height < LARGE / 100


def test_a_small_picture_keeps_every_pixel() -> None:
    assert decoded(encoded(quarters())).tobytes() == quarters().tobytes()
