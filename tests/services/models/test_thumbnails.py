"""Small pictures for reports, of whatever an input holds."""

import io

import pytest
from PIL import Image

from flows.services.models.thumbnails import thumbnail


def picture(width: int, height: int, form: str = "PNG", mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height), 128).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(1000, 800, (96, 77)), (8, 8, (48, 48)), (96, 40, (96, 40)), (50, 10, (50, 10)), (1, 100, (1, 96))],
)
def test_a_picture_becomes_small_and_a_tiny_one_larger(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    found = thumbnail(picture(width, height))
    assert found
    assert Image.open(io.BytesIO(found.png)).size == expected


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("GIF", "P"), ("PNG", "L"), ("WEBP", "RGB")])
def test_it_is_a_png_whatever_the_input_is(form: str, mode: str) -> None:
    found = thumbnail(picture(200, 100, form, mode))
    assert found
    assert Image.open(io.BytesIO(found.png)).format == "PNG"


@pytest.mark.parametrize(
    "content",
    [b"", b"a text", picture(100, 100)[:60], picture(8000, 8000, mode="1"), picture(50, 50, "TIFF")],
    ids=["nothing", "text", "cut off", "too many pixels", "another form"],
)
def test_what_is_no_picture_has_none(content: bytes) -> None:
    assert thumbnail(content) is None
