"""manifest.json, which says how to serve the model beside it: parsed, checked, written.

A data scientist writes it without name, version, digest, size and created; publishing fills those in.
"""

import base64
import binascii
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from flows.core.errors import ModelRejected
from flows.core.model.model import Model
from flows.core.model.names import LATEST, Digest, Version, is_version
from flows.core.text import LONGEST, Location, validation_message
from flows.core.untrusted import RealTime, parsed_json

FILLED_IN = ("name", "version", "digest", "size", "created")
"""The keys that an author leaves out; values that are there are replaced."""

LISTED = 5
"""Number of labels of a wrong answer that are quoted."""

_exact = ConfigDict(extra="forbid", strict=True)


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"must be base64: {error}") from error
    return text


Channels = Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]
PositiveChannels = Annotated[tuple[Annotated[FiniteFloat, Field(gt=0)], ...], Field(min_length=1)]
Side = Annotated[int, Field(ge=1, le=8192)]
Mode = Literal["RGB", "L"]
Resample = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Layout = Literal["NCHW", "NHWC", "flat"]
Percent = Annotated[FiniteFloat, Field(ge=0, le=100)]


@dataclass(frozen=True, config=_exact)
class Preprocessing:
    """How a picture becomes the model's input: scaled to `shorter_side` (None: straight to crop x crop), its
    centre cropped, then (value - mean) / std with values 0 to 255, as float32.

    The application's app/preprocessing.schema.json says the same; tests on both sides compare.
    """

    mode: Mode
    shorter_side: Side | None
    crop: Side
    resample: Resample
    mean: Channels
    std: PositiveChannels
    layout: Layout

    @property
    def channels(self) -> int:
        """Channels of one picture."""
        return len(self.mode)

    def input_shape(self) -> tuple[int, ...]:
        """Shape of one picture's input, without the batch."""
        match self.layout:
            case "NCHW":
                return (self.channels, self.crop, self.crop)
            case "NHWC":
                return (self.crop, self.crop, self.channels)
            case "flat":
                return (self.channels * self.crop * self.crop,)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        for key, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in {1, self.channels}:
                raise ValueError(
                    f"{key} has {len(values)} values; mode {self.mode!r} takes 1 or {self.channels}"
                )
        if self.shorter_side is not None and self.shorter_side < self.crop:
            raise ValueError(f"shorter_side {self.shorter_side} is less than crop {self.crop}")
        return self


@dataclass(frozen=True, config=_exact)
class Example:
    """A picture (base64 of an image file) and its right answer: up to three labels with their percent, best
    first, each right within `tolerance` percentage points."""

    name: str
    input: Annotated[str, Field(min_length=1), AfterValidator(_base64)]
    expected: Annotated[tuple[tuple[str, Percent], ...], Field(min_length=1, max_length=3)]
    tolerance: Annotated[FiniteFloat, Field(gt=0, lt=100)]

    def disagreement(self, answer: Sequence[tuple[str, float]]) -> str | None:
        """How an answer (label, percent; best first) differs beyond the tolerance; None when it does not.

        Two labels with close scores may change places, so one of them may drop out. Where only one side names
        a label, the other side's score is taken to be as near as possible: at most that of its last label and
        at most what is left to 100 percent. Of a label that occurs twice, the better ones are compared.
        """
        if any(not math.isfinite(percent) for _, percent in answer):
            return f"{self.name}: an answer is no finite number; answered {_listed(answer)}"
        expected, given = _by_place(self.expected), _by_place(answer)
        for place in (*expected, *(place for place in given if place not in expected)):
            right = expected.get(place, min(given.get(place, 0.0), _most_of_the_rest(self.expected)))
            seen = given.get(place, min(right, _most_of_the_rest(answer)))
            if abs(right - seen) > self.tolerance:
                return (
                    f"{self.name}: {place[0][:LONGEST]!r} is {_percent(given, place)}, "
                    f"expected {_percent(expected, place)} +/- {self.tolerance:g}; answered {_listed(answer)}"
                )
        return None


Place = tuple[str, int]
"""A label, and how many of the same label are better: models have labels that occur twice."""


def _by_place(scores: Sequence[tuple[str, float]]) -> dict[Place, float]:
    found: dict[Place, float] = {}
    seen: Counter[str] = Counter()
    for label, percent in sorted(scores, key=lambda score: -score[1]):
        found[label, seen[label]] = percent
        seen[label] += 1
    return found


def _most_of_the_rest(scores: Sequence[tuple[str, float]]) -> float:
    """The highest score, in percent, that a label which is not among these best ones can have."""
    return max(0.0, min(scores[-1][1], 100 - sum(percent for _, percent in scores))) if scores else 0.0


def _percent(scores: Mapping[Place, float], place: Place) -> str:
    return f"{scores[place]:.1f} %" if place in scores else "not among the best"


def _listed(scores: Sequence[tuple[str, float]]) -> str:
    named = [f"{label[:LONGEST]!r} {percent:.1f} %" for label, percent in scores[:LISTED]]
    more = [f"and {len(scores) - LISTED} more"] if len(scores) > LISTED else []
    return ", ".join(named + more) or "nothing"


@dataclass(frozen=True, config=_exact)
class ModelManifest:
    """One version of a model as the app serves it: `input` and `output` name tensors of the ONNX graph,
    `labels` stand in the order of the output, `digest` and `size` (bytes) are the model file's."""

    schema: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    version: Version
    digest: Digest
    size: Annotated[int, Field(ge=0)]
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"), RealTime]
    description: str
    input: Annotated[str, Field(min_length=1)]
    output: Annotated[str, Field(min_length=1)]
    activation: Literal["softmax", "none"]
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    preprocessing: Preprocessing
    examples: tuple[Example, ...]

    @property
    def model(self) -> Model:
        """This version of the model, as the rest of the pipeline names it."""
        return Model(self.name, self.version, self.digest, self.manifest_digest, self.size)

    @property
    def manifest_digest(self) -> str:
        """The digest of `to_bytes()`."""
        return f"sha256:{hashlib.sha256(self.to_bytes()).hexdigest()}"

    def to_bytes(self) -> bytes:
        """The file's content; equal manifests give equal bytes, so that their digests are equal."""
        return f"{json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, indent=1)}\n".encode()

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if not is_version(self.version):
            raise ValueError(f"version {LATEST!r} is the pointer's name")
        for example in self.examples:
            unknown = [label for label, _ in example.expected if label not in self.labels]
            if unknown:
                raise ValueError(
                    f"example {example.name!r} expects {unknown[0]!r}, which is not among the labels"
                )
        return self


_manifests = TypeAdapter(ModelManifest)


def parse(content: bytes, *, source: str) -> ModelManifest:
    """A complete manifest; `ModelRejected` names `source`, each missing or wrong key and what is allowed."""
    return _checked(_json_object(content, source), source)


def complete(
    author: bytes, *, source: str, name: str, version: str, digest: str, size: int, created: str
) -> ModelManifest:
    """An author's manifest with the keys of `FILLED_IN`; `ModelRejected` as from `parse`."""
    facts = {"name": name, "version": version, "digest": digest, "size": size, "created": created}
    return _checked(_json_object(author, source) | facts, source)


def promised_digest(author: bytes) -> str | None:
    """The model digest that an author's manifest states, as one copied from a store does; else None."""
    digest = _json_object(author, "the manifest").get("digest")
    return None if digest is None else str(digest)


def _json_object(content: bytes, source: str) -> dict[str, Any]:
    try:
        parsed = parsed_json(content, nan=True)  # validation names the key of a NaN
    except ValueError as error:
        raise ModelRejected(f"{source} is not valid JSON: {error}.", "Correct the manifest.") from error
    if not isinstance(parsed, dict):
        raise ModelRejected(
            f"{source} must hold a JSON object.", "See an existing manifest.json for its keys."
        )
    return parsed


def _checked(content: dict[str, Any], source: str) -> ModelManifest:
    try:
        return _manifests.validate_json(json.dumps(content))
    except ValidationError as error:
        wrong = validation_message(error, _allowed)
        raise ModelRejected(f"{source}: {wrong}.", "Correct the manifest and publish again.") from error


def _allowed(location: Location) -> list[str]:
    """The keys of the table that holds the last part of `location`."""
    table = {"preprocessing": Preprocessing, "examples": Example}.get(str(location[0]), ModelManifest)
    return [key.name for key in fields(table)]
