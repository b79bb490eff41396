"""The application takes the preprocessing that preprocessing.schema.json describes, and no other."""

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from app import model as models
from app.model import ModelRejected, Preprocessing, open_model

SCHEMA = json.loads(Path(models.__file__).with_name("preprocessing.schema.json").read_text())
PROPERTIES = SCHEMA["properties"]
CHOICES = [(key, value) for key, rule in PROPERTIES.items() for value in rule.get("enum", ())]
WRONG: list[tuple[str, Any]] = [
    *((key, "another") for key, rule in PROPERTIES.items() if "enum" in rule),
    ("crop", PROPERTIES["crop"]["minimum"] - 1),
    ("crop", "8"),
    ("shorter_side", PROPERTIES["shorter_side"]["anyOf"][0]["minimum"] - 1),
    ("mean", []),
    ("mean", ["0"]),
    ("std", [PROPERTIES["std"]["items"]["exclusiveMinimum"]]),
]


def with_steps(digits: Path, folder: Path, steps: dict[str, Any]) -> Path:
    copy = Path(shutil.copytree(digits, folder / "model"))
    manifest = copy / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"preprocessing": steps}))
    return copy


@pytest.fixture
def steps(digits: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((digits / "manifest.json").read_text())["preprocessing"]
    return found


def test_it_has_the_keys_that_the_schema_requires() -> None:
    assert [field.name for field in fields(Preprocessing)] == SCHEMA["required"]


@pytest.mark.parametrize(("key", "value"), CHOICES)
def test_every_choice_of_the_schema_is_taken(
    digits: Path, tmp_path: Path, steps: dict[str, Any], key: str, value: str
) -> None:
    opened = open_model(with_steps(digits, tmp_path, steps | {key: value}))
    assert getattr(opened.preprocessing, key) == value


@pytest.mark.parametrize(("key", "value"), WRONG, ids=str)
def test_what_the_schema_does_not_allow_is_refused(
    digits: Path, tmp_path: Path, steps: dict[str, Any], key: str, value: object
) -> None:
    with pytest.raises(ModelRejected, match=key.replace("_", "[_ ]")):
        open_model(with_steps(digits, tmp_path, steps | {key: value}))


@pytest.mark.parametrize("key", [key for key in SCHEMA["required"] if key != "shorter_side"])
def test_what_the_schema_requires_is_missed(
    digits: Path, tmp_path: Path, steps: dict[str, Any], key: str
) -> None:
    del steps[key]
    with pytest.raises(ModelRejected, match=f"lacks '{key}'"):
        open_model(with_steps(digits, tmp_path, steps))
