"""Models of handwritten digits, and a golden set for them: pictures that none of them was trained on.

1.0.0 has 24 neurons; 1.1.0 has 6, a third of the size, and is worse; 1.2.0 has 64, and is as good.
training.py made all of them.
"""

import csv
import gzip
import io
import json
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
NAME, VERSIONS = "digits", ("1.0.0", "1.1.0", "1.2.0")
SIDE, BRIGHTEST = 8, 16
"""Pixels of a picture's side, and the largest value of one in the data set."""


def model(version: str) -> Path:
    """The folder with model.onnx and manifest.json."""
    return HERE / version


def write_golden_set(folder: Path) -> Path:
    """The author's folder of the golden set, of 450 pictures; made when it is not there yet."""
    if (folder / "manifest.json").exists():
        return folder
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    examples = []
    for number, (digit, png) in enumerate(pictures()):
        name = f"inputs/{number:03}.png"
        (folder / name).write_bytes(png)
        examples.append({"input": name, "class_index": digit})
    content = {
        "schema": 1,
        "description": "digits of scikit-learn that no version was trained on",
        "labels": [str(digit) for digit in range(10)],
        "examples": examples,
    }
    (folder / "manifest.json").write_text(json.dumps(content, indent=1))
    return folder


def pictures() -> list[tuple[int, bytes]]:
    """The digit and the PNG of each picture."""
    with gzip.open(HERE / "pictures.csv.gz", "rt") as file:
        rows = [[int(value) for value in row] for row in csv.reader(file)]
    return [(digit, _png(pixels)) for digit, *pixels in rows]


def _png(pixels: list[int]) -> bytes:
    picture = Image.frombytes("L", (SIDE, SIDE), bytes(round(pixel * 255 / BRIGHTEST) for pixel in pixels))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
