"""The sample model is real: made from published weights, and right about real photographs."""

import base64
import hashlib
import io
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from deployments.local.demo import sample_model
from deployments.local.demo.sample_model import photos, weights
from flows.core.model import manifest
from flows.core.model.manifest import ModelManifest
from flows.services.models import model_check

pytestmark = pytest.mark.platform


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both versions."""
    folder = tmp_path_factory.mktemp("sample")
    for version in sample_model.VERSIONS:
        sample_model.make(version, folder, print)
    return folder


def described(folder: Path) -> ModelManifest:
    return manifest.parse((folder / "manifest.json").read_bytes(), source="manifest.json")


@cache
def session(folder: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(folder / "model.onnx")


def answer(folder: Path, image: np.ndarray) -> list[tuple[str, float]]:
    (logits,) = session(folder).run(["logits"], {"input": image})
    percents = 100 * np.exp(logits[0]) / np.exp(logits[0]).sum()
    best = np.argsort(-percents)[:3]
    return [(described(folder).labels[index], float(percents[index])) for index in best]


@pytest.mark.parametrize("version", sample_model.VERSIONS)
def test_it_can_be_published_as_it_is(made: Path, version: str) -> None:
    folder = made / version
    found = described(folder)
    content = (folder / "model.onnx").read_bytes()
    assert found.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert (found.version, found.size, len(found.labels)) == (version, len(content), 1000)
    model_check.check(folder / "model.onnx", found)


@pytest.mark.parametrize("version", sample_model.VERSIONS)
def test_it_recognises_real_photographs(made: Path, version: str) -> None:
    best = {example.name: example.expected[0][0] for example in described(made / version).examples}
    assert best == {"chelsea.jpg": "Egyptian Mau", "coffee.jpg": "espresso", "motorcycle_left.jpg": "moped"}


def test_int8_is_a_third_of_the_size_and_nearly_as_right(made: Path) -> None:
    float32, int8 = (described(made / version) for version in sample_model.VERSIONS)
    assert int8.size < float32.size / 3
    for example, quantized in zip(float32.examples, int8.examples, strict=True):
        assert abs(example.expected[0][1] - quantized.expected[0][1]) < 15
        assert example.expected != quantized.expected


@pytest.mark.parametrize("version", sample_model.VERSIONS)
def test_its_examples_pass_with_right_preprocessing_and_fail_with_wrong(made: Path, version: str) -> None:
    folder = made / version
    wrong: dict[str, int] = {}
    for example in described(folder).examples:
        with Image.open(io.BytesIO(base64.b64decode(example.input))) as picture:
            right = photos.prepare(picture)
            variants = {
                "a decoder that rounds otherwise": right + np.float32(1 / 128),
                "blue for red": right[:, ::-1],
                "values 0..1": (right * 128 + 127) / 255,
                "squeezed instead of cropped": photos.prepare(picture.resize((256, 256))),
            }
        assert example.disagreement(answer(folder, right)) is None
        for variant, image in variants.items():
            difference = example.disagreement(answer(folder, np.ascontiguousarray(image, np.float32)))
            wrong[variant] = wrong.get(variant, 0) + (difference is not None)

    assert wrong.pop("a decoder that rounds otherwise") == 0
    assert min(wrong.values()) >= 2, wrong


def test_it_is_made_once(made: Path) -> None:
    said: list[str] = []
    before = (made / "1.0.0" / "model.onnx").stat()
    assert sample_model.make("1.0.0", made, said.append) == made / "1.0.0"
    assert (made / "1.0.0" / "model.onnx").stat() == before
    assert said == [f"Sample model 1.0.0 is there already: {made / '1.0.0'}"]


def test_the_command_line_says_where_it_is(made: Path) -> None:
    command = [sys.executable, "-m", "deployments.local.demo.sample_model", "1.1.0", str(made)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines()[-1] == str(made / "1.1.0")


def test_a_version_it_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the sample model's versions are 1.0.0, 1.1.0, not '2.0.0'"):
        sample_model.make("2.0.0", tmp_path, print)


def test_weights_that_name_any_function_are_not_called(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.mkdir, (str(tmp_path / "called"),))

    file = tmp_path / "weights.pth"
    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(pickle.UnpicklingError, match="has no place in a state dict"):
        weights.read(file)
    assert not (tmp_path / "called").exists()
