import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.classifier import load, softmax
from app.model import ModelRejected, open_model


@pytest.fixture
def model(tmp_path: Path, digits: Path) -> Path:
    """A copy to be spoiled."""
    return Path(shutil.copytree(digits, tmp_path / "model"))


def change(model: Path, **members: Any) -> None:
    manifest = model / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | members))


def change_preprocessing(model: Path, **members: Any) -> None:
    steps = json.loads((model / "manifest.json").read_text())["preprocessing"]
    change(model, preprocessing=steps | members)


def replace_file(model: Path, content: bytes) -> None:
    """With the digest that belongs to it."""
    (model / "model.onnx").write_bytes(content)
    change(model, digest=f"sha256:{hashlib.sha256(content).hexdigest()}")


def test_a_model_is_what_its_manifest_says(digits: Path) -> None:
    model = open_model(digits)
    assert (model.name, model.version, len(model.labels)) == ("digits", "1.0.0", 10)
    assert model.preprocessing.shorter_side is None


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match=r"nowhere/manifest.json can't be read: No such file"):
        open_model(tmp_path / "nowhere")


def test_a_missing_file_is_refused(model: Path) -> None:
    (model / "model.onnx").unlink()
    with pytest.raises(ModelRejected, match=r"model.onnx can't be read: No such file"):
        open_model(model)


def test_a_file_that_is_not_the_published_one_is_refused(model: Path) -> None:
    with (model / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(
        ModelRejected, match=r"has the digest sha256:\w{64}, its manifest promises sha256:aa7a"
    ):
        open_model(model)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "\xff"])
def test_a_manifest_that_is_no_json_object_is_refused(model: Path, content: str) -> None:
    (model / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(ModelRejected, match=r"manifest.json.* is not (JSON|an object)"):
        open_model(model)


KEYS = ["schema", "name", "version", "digest", "input", "output", "activation", "labels", "preprocessing"]


@pytest.mark.parametrize("key", KEYS)
def test_an_incomplete_manifest_is_refused(model: Path, key: str) -> None:
    manifest = json.loads((model / "manifest.json").read_text())
    del manifest[key]
    (model / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRejected, match=f"manifest.json: the manifest lacks '{key}'"):
        open_model(model)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"schema": 2}, "schema is 2, this application reads schema 1"),
        ({"name": 7}, "'name' of the manifest has the wrong type, int"),
        ({"schema": True}, "'schema' of the manifest has the wrong type, bool"),
        ({"labels": []}, "'labels' of the manifest is empty"),
        ({"labels": ["a", 1]}, "'labels' of the manifest .* wrong type"),
        ({"activation": "relu"}, "'activation' of the manifest is 'relu', not one of softmax, none"),
        ({"preprocessing": []}, "'preprocessing' of the manifest has the wrong type, list"),
    ],
)
def test_a_wrong_manifest_is_refused(model: Path, members: dict[str, Any], reason: str) -> None:
    change(model, **members)
    with pytest.raises(ModelRejected, match=reason):
        open_model(model)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"mode": "CMYK"}, "'mode' of preprocessing is 'CMYK', not one of RGB, L"),
        ({"crop": 0}, "crop of 0"),
        ({"crop": 9, "shorter_side": 8}, "crop of 9 from a shorter side of 8"),
        ({"mean": [1.0, 2.0]}, "mean and std need one value, or one for each channel of L"),
        ({"std": [0]}, "std must be positive"),
        ({"std": []}, "'std' of preprocessing is empty"),
        ({"resample": "box"}, "'resample' of preprocessing is 'box'"),
        ({"layout": "CHW"}, "'layout' of preprocessing is 'CHW'"),
    ],
)
def test_wrong_preprocessing_is_refused(model: Path, members: dict[str, Any], reason: str) -> None:
    change_preprocessing(model, **members)
    with pytest.raises(ModelRejected, match=reason):
        open_model(model)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 9])
def test_a_file_that_is_no_model_is_refused(model: Path, content: bytes) -> None:
    replace_file(model, content)
    with pytest.raises(ModelRejected, match=r"model.onnx does not load"):
        load(model)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"input": "pixels"}, "does not take its input"),
        ({"output": "scores"}, "does not take its input"),
        ({"labels": ["zero", "one"]}, "gives 10 scores for 2 labels"),
    ],
)
def test_a_manifest_of_another_model_is_refused(model: Path, members: dict[str, Any], reason: str) -> None:
    change(model, **members)
    with pytest.raises(ModelRejected, match=reason) as refused:
        load(model)
    assert "\n" not in str(refused.value)


def test_preprocessing_of_another_model_is_refused(model: Path) -> None:
    change_preprocessing(model, crop=9)
    with pytest.raises(ModelRejected, match="does not take its input"):
        load(model)


def test_large_scores_become_probabilities() -> None:
    assert softmax(np.array([1000.0, 1000.0, -1000.0])).tolist() == [0.5, 0.5, 0.0]
