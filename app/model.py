"""A model directory: `model.onnx`, and the manifest that says how to serve it.

Nothing outside the manifest knows what the model recognises: labels, preprocessing and the names of its input
and output all come from there.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
MODES = {"RGB": 3, "L": 1}
"""Pillow's modes a model may ask for, with their numbers of channels."""
RESAMPLING = ("nearest", "bilinear", "bicubic", "lanczos")
LAYOUTS = ("NCHW", "NHWC", "flat")
ACTIVATIONS = ("softmax", "none")


class ModelRejected(Exception):
    """The model can't be served as it is; the message is one line that says what is wrong and where."""


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the model's input.

    The picture is scaled until its shorter side has `shorter_side` pixels, then the central `crop` x `crop`
    pixels are taken; without `shorter_side` all of it is squeezed into `crop` x `crop`. Values 0..255 become
    `(value - mean) / std`, with one mean and std for all channels or one for each.
    """

    mode: str
    shorter_side: int | None
    crop: int
    resample: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: str


@dataclass(frozen=True)
class Model:
    """One model with what is needed to serve it; `digest` is `sha256:` and 64 hex digits of the file."""

    file: Path
    name: str
    version: str
    digest: str
    input: str
    output: str
    activation: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing


def open_model(directory: Path) -> Model:
    """The model of a directory, its manifest checked for completeness and its file against the digest.

    Raises ModelRejected.
    """
    manifest = directory / "manifest.json"
    try:
        content = json.loads(manifest.read_bytes())
    except OSError as error:
        raise ModelRejected(f"{manifest} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise ModelRejected(f"{manifest} is not JSON: {error}.") from error
    try:
        model = _from_manifest(content, directory / "model.onnx")
    except ModelRejected as error:
        raise ModelRejected(f"{manifest}: {error}") from error
    _verify(model)
    return model


def _verify(model: Model) -> None:
    try:
        with model.file.open("rb") as stream:
            actual = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelRejected(f"{model.file} can't be read: {error.strerror}.") from error
    if actual != model.digest:
        raise ModelRejected(f"{model.file} has the digest {actual}, its manifest promises {model.digest}.")


def _from_manifest(content: object, file: Path) -> Model:
    manifest = _Fields(content, "the manifest")
    if (schema := manifest.get("schema", int)) != SCHEMA:
        raise ModelRejected(f"schema is {schema}, this application reads schema {SCHEMA}.")
    return Model(
        file=file,
        name=manifest.get("name", str),
        version=manifest.get("version", str),
        digest=manifest.get("digest", str),
        input=manifest.get("input", str),
        output=manifest.get("output", str),
        activation=manifest.choice("activation", ACTIVATIONS),
        labels=manifest.sequence("labels", str),
        preprocessing=_preprocessing(_Fields(manifest.get("preprocessing", dict), "preprocessing")),
    )


def _preprocessing(fields: "_Fields") -> Preprocessing:
    mode = fields.choice("mode", tuple(MODES))
    crop = fields.get("crop", int)
    shorter_side = None if fields.is_null("shorter_side") else fields.get("shorter_side", int)
    if crop < 1 or (shorter_side is not None and shorter_side < crop):
        raise ModelRejected(f"preprocessing asks for a crop of {crop} from a shorter side of {shorter_side}.")
    mean, std = (tuple(map(float, fields.sequence(key, (int, float)))) for key in ("mean", "std"))
    if not {len(mean), len(std)} <= {1, MODES[mode]}:
        raise ModelRejected(f"preprocessing.mean and std need one value, or one for each channel of {mode}.")
    if min(std) <= 0:
        raise ModelRejected("preprocessing.std must be positive.")
    resample = fields.choice("resample", RESAMPLING)
    return Preprocessing(mode, shorter_side, crop, resample, mean, std, fields.choice("layout", LAYOUTS))


class _Fields:
    """A JSON object's members, each asked for with the type it must have."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise ModelRejected(f"{where} is not an object.")
        self._content, self._where = content, where

    def get(self, key: str, kind: type | tuple[type, ...]) -> Any:
        if key not in self._content:
            raise ModelRejected(f"{self._where} lacks {key!r}.")
        value = self._content[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelRejected(f"{key!r} of {self._where} has the wrong type, {type(value).__name__}.")
        return value

    def is_null(self, key: str) -> bool:
        return self._content.get(key) is None

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value: str = self.get(key, str)
        if value not in choices:
            raise ModelRejected(f"{key!r} of {self._where} is {value!r}, not one of {', '.join(choices)}.")
        return value

    def sequence(self, key: str, kind: type | tuple[type, ...]) -> tuple[Any, ...]:
        values = self.get(key, list)
        if not values or not all(isinstance(value, kind) for value in values):
            raise ModelRejected(f"{key!r} of {self._where} is empty or has values of the wrong type.")
        return tuple(values)
