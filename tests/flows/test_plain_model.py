"""A model file that was not published: packed and served as slipway.toml describes it, or refused."""

import json
from pathlib import Path

import pytest

from app.classifier import load
from app.serve import create_app
from flows.config import load as configuration
from flows.credentials.prefect_blocks import blob_store
from tests.app.picture_files import filled
from tests.flows.conftest import Line
from tests.flows.team import MODELS

COLOURS = MODELS / "colours"


def asked(manifest: bytes, picture: bytes, folder: Path) -> str:
    """What our app, serving the model with the manifest that was packed, finds in a picture."""
    folder.mkdir()
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "model.onnx").write_bytes((COLOURS / "model.onnx").read_bytes())
    app = create_app(load(folder)).test_client()
    answer = app.post("/score", data=picture, content_type="image/png")
    return str(answer.get_json()["result"][0][0][0])


@pytest.fixture
def plain(line: Line, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a model file in the store; all that there is of this line's model."""
    name = f"{line.model}-plain"
    monkeypatch.setenv("SLIPWAY_MODEL__NAME", name)
    path = f"{name}/trained-on-friday.onnx"
    blob_store(configuration.load().model).replace(path, (COLOURS / "model.onnx").read_bytes())
    return path


def test_a_plain_model_file_is_served_with_the_labels_and_preprocessing_of_the_settings(
    line: Line, plain: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    published = json.loads((COLOURS / "manifest.json").read_text())
    (tmp_path / "labels.txt").write_text("rouge\nbleu\n")
    monkeypatch.setenv("SLIPWAY_MODEL__PLAIN__LABELS", str(tmp_path / "labels.txt"))
    monkeypatch.setenv("SLIPWAY_MODEL__PLAIN__PREPROCESSING", json.dumps(published["preprocessing"]))
    run = line.ci()
    assert run.succeeded, run.message
    latest = line.latest
    assert latest is not None
    assert f"{latest.content.model}" in run.message
    manifest = line.registry.attached(latest.content.capsule)
    for colour, label in (("red", "rouge"), ("blue", "bleu")):
        assert asked(manifest, filled(colour), tmp_path / colour) == label


def test_a_plain_model_file_that_nothing_describes_is_refused_with_what_to_set(
    line: Line, plain: str
) -> None:
    run = line.ci()
    assert not run.succeeded
    assert f"{plain} in" in run.message
    assert "has no manifest beside it" in run.message
    assert "Set labels and preprocessing under [model.plain] in slipway.toml" in run.message
    assert run.tasks()["resolve model"] == ("FAILED", 1)
    assert line.latest is None
    assert line.tags() == []
