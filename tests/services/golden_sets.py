"""A golden set of the digits that the tests' model knows."""

import json
from pathlib import Path

from flows.core.duel.golden_set import LEAST, GoldenSet
from flows.services.models import golden_set_files

LABELS = [str(digit) for digit in range(10)]


def write(folder: Path, **files: bytes) -> Path:
    """An author's folder; `files` replace inputs, which no app can open, by the number in their name."""
    (folder / "inputs").mkdir(parents=True)
    named = []
    for number in range(LEAST):
        name = f"inputs/{number:04}.png"
        (folder / name).write_bytes(files.get(f"n{number}", f"picture {number}".encode()))
        named.append({"input": name, "class_index": number % len(LABELS)})
    content = {"schema": 1, "description": "digits", "labels": LABELS, "examples": named}
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def packed(folder: Path, version: str = "1", name: str = "digits", **files: bytes) -> tuple[Path, GoldenSet]:
    """An author's folder, packed beside it."""
    archive = folder.with_suffix(".tar")
    return archive, golden_set_files.pack(write(folder, **files), archive, name=name, version=version)
