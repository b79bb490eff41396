from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageOps, PngImagePlugin

from app.pictures import open_pictures
from app.problems import Problem
from app.submission import Upload
from tests.app.picture_files import encoded

ENOUGH = 64


def decoded(content: bytes, mode: str = "RGB") -> Image.Image:
    (picture,) = open_pictures([Upload(0, "a picture", content)])
    return picture.decoded(mode, ENOUGH)


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


def test_grey_of_16_bits_may_have_a_transparent_shade() -> None:
    picture = Image.new("I;16", (9, 9), 300)
    picture.putpixel((4, 4), 40_000)
    shown = decoded(encoded(picture, transparency=40_000))
    assert (shown.getpixel((4, 4)), shown.getpixel((0, 0))) == ((255, 255, 255), (1, 1, 1))


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
    large = Image.new(mode, (4000, 2001))
    shown = decoded(encoded(large, kind))
    assert min(shown.size) >= ENOUGH
    assert shown.width * shown.height < large.width * large.height / 100


def test_a_small_picture_keeps_every_pixel() -> None:
    assert decoded(encoded(quarters())).tobytes() == quarters().tobytes()


def notes(compressed: bool, kind: str) -> dict[str, Any]:
    """What puts two megabytes of text into a PNG."""
    info = PngImagePlugin.PngInfo()
    add = info.add_itxt if kind == "iTXt" else info.add_text
    add("Comment", "slow " * 400_000, zip=compressed)
    return {"pnginfo": info}


@pytest.mark.parametrize(
    "options",
    [
        notes(True, "iTXt"),
        notes(True, "zTXt"),
        notes(False, "tEXt"),
        {"icc_profile": bytes(2_000_000)},
    ],
    ids=["iTXt", "zTXt", "tEXt", "iCCP"],
)
def test_a_picture_with_long_notes_is_a_picture(options: dict[str, Any]) -> None:
    assert decoded(encoded(quarters(), **options)).tobytes() == quarters().tobytes()


def test_a_note_that_says_how_a_png_is_turned_counts() -> None:
    info = PngImagePlugin.PngInfo()
    xmp = '<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    info.add_itxt("XML:com.adobe.xmp", xmp)
    assert decoded(encoded(quarters(), pnginfo=info)).size == (40, 60)


@pytest.mark.parametrize("cut", [9, 20, 40, 60])
def test_a_png_whose_notes_are_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(Problem):
        decoded(encoded(quarters(), **notes(True, "zTXt"))[:cut])


def counted(content: bytes) -> float:
    """Megapixels that a picture counts."""
    (picture,) = open_pictures([Upload(0, "a picture", content)])
    return picture.work / 1_000_000


def test_a_jpeg_counts_by_its_scans_and_others_by_their_pixels() -> None:
    picture = Image.new("RGB", (2000, 1000))
    once, often = encoded(picture, "JPEG"), encoded(picture, "JPEG", progressive=True)
    scans = often.count(b"\xff\xda")
    assert [counted(encoded(picture, kind)) for kind in ("PNG", "WEBP", "BMP")] == [2, 2, 2]
    assert (counted(once), counted(often)) == (2 / 16, 2 * scans / 40)
    assert counted(often.replace(b"\xff\xd9", b"\xff\xda" * 1000)) > 50
