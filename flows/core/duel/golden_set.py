"""The golden set: labelled examples that a candidate and what is live are both asked.

An author writes a folder: `manifest.json` with schema, description, labels and examples, and the inputs. An
example names its class by the index of a label, so that two classes may have the same label.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from flows.core.errors import GoldenSetRejected
from flows.core.model.names import LATEST, Digest, Moment, Version, is_version
from flows.core.text import Location, quoted, validation_message
from flows.core.untrusted import RealTime, parsed_json

LEAST, MOST = 100, 20_000
"""Number of examples: fewer can't show a difference of five points, and more take too long in every run."""

LARGEST_INPUT, LARGEST = 10 << 20, 1 << 30
"""Bytes of one input, as the sample application takes them, and of all inputs together."""

MANIFEST_LIMIT = 16 << 20
"""Bytes that the manifest of a golden set may have."""

LISTED = 5
"""Number of examples that a message names."""

MANIFEST, INPUTS = "manifest.json", "inputs.tar"
"""The files of a published golden set."""

T = TypeVar("T")

_exact = ConfigDict(extra="forbid", strict=True)

Part = r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}"
InputPath = Annotated[str, Field(pattern=rf"^{Part}(/{Part}){{0,7}}$")]
"""A file in the author's folder, with folders before it."""

ClassIndex = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, config=_exact)
class AuthorsExample:
    """The file of an input, and the index of its right label."""

    input: InputPath
    class_index: ClassIndex


@dataclass(frozen=True, config=_exact)
class Draft:
    """What the author of a golden set writes: `labels` stand in the order that class indexes count."""

    schema: Literal[1]
    description: str
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    examples: Annotated[tuple[AuthorsExample, ...], Field(max_length=MOST)]

    @model_validator(mode="after")
    def _known_classes(self) -> Self:
        _require_known_classes(self.labels, self.examples)
        return self


@dataclass(frozen=True, config=_exact)
class GoldenExample:
    """An input, the index of its right label, and its bytes."""

    input: InputPath
    class_index: ClassIndex
    size: Annotated[int, Field(ge=1, le=LARGEST_INPUT)]


@dataclass(frozen=True, config=_exact)
class GoldenSet:
    """One version of a golden set. `digest` and `size` (bytes) are those of the archive of its inputs."""

    schema: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    version: Version
    digest: Digest
    size: Annotated[int, Field(ge=0, le=2 * LARGEST)]
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"), RealTime]
    description: str
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    examples: Annotated[tuple[GoldenExample, ...], Field(min_length=LEAST, max_length=MOST)]

    def __str__(self) -> str:
        return f"golden set {self.name} {self.version}"

    @property
    def manifest_digest(self) -> str:
        """The digest of `to_bytes()`: it covers the inputs, too."""
        return f"sha256:{hashlib.sha256(self.to_bytes()).hexdigest()}"

    @property
    def files(self) -> dict[str, str]:
        """Its files, and the digest of each."""
        return {INPUTS: self.digest, MANIFEST: self.manifest_digest}

    def to_bytes(self) -> bytes:
        """The manifest's content; equal golden sets give equal bytes."""
        return f"{json.dumps(asdict(self), ensure_ascii=False, indent=1)}\n".encode()

    def label(self, example: GoldenExample) -> str:
        """The right label."""
        return self.labels[example.class_index]

    def is_content_of(self, other: "GoldenSet") -> bool:
        """Whether both differ in nothing but the time of publishing."""
        return asdict(self) | {"created": ""} == asdict(other) | {"created": ""}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if not is_version(self.version):
            raise ValueError(f"version {LATEST!r} is the pointer's name")
        _require_known_classes(self.labels, self.examples)
        return self


@plain_dataclass(frozen=True)
class InputFile:
    """What was read of an input's file: its bytes, and their digest."""

    size: int
    digest: str


@plain_dataclass(frozen=True)
class LatestGoldenSet:
    """What `evaluations/<name>/latest.json` says: the newest version, the digest of its manifest, and when it
    was published (RFC 3339, UTC)."""

    name: str
    version: str
    manifest_digest: str
    published: str

    def to_bytes(self) -> bytes:
        """The file's content."""
        return f"{json.dumps(asdict(self), indent=1)}\n".encode()

    @classmethod
    def parse(cls, content: bytes, *, source: str, name: str) -> Self:
        """Read back what `to_bytes` wrote; `GoldenSetRejected` names `source` when it is something else, or
        points to a golden set of another name."""
        remedy = "Publish a golden set; that writes the pointer again."
        try:
            found = _PointerFile.model_validate_json(content)
        except ValidationError as error:
            raise GoldenSetRejected(
                f"{source} is no pointer to a golden set: {validation_message(error)}.", remedy
            ) from error
        if found.name != name:
            raise GoldenSetRejected(f"{source} names {quoted(found.name)}, not {name!r}.", remedy)
        return cls(**found.model_dump())


class _PointerFile(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    name: str
    version: Version
    manifest_digest: Digest
    published: Moment


_drafts, _golden_sets = TypeAdapter(Draft), TypeAdapter(GoldenSet)


def draft(content: bytes, *, source: str) -> Draft:
    """The author's manifest; `GoldenSetRejected` names `source`, what is wrong and what is allowed.

    It also refuses fewer than `LEAST` examples, and an input that is named twice.
    """
    found = _validated(_drafts, content, source)
    if len(found.examples) < LEAST:
        raise GoldenSetRejected(
            f"{source} has {len(found.examples)} examples; at least {LEAST} are needed.",
            "Add labelled examples: some hundreds find a difference of five points.",
        )
    named = Counter(example.input for example in found.examples)
    if twice := [name for name, count in named.items() if count > 1]:
        raise GoldenSetRejected(f"{source} names inputs twice: {_listed(twice)}.", "Remove the repetitions.")
    return found


def complete(
    author: Draft,
    inputs: Mapping[str, InputFile],
    *,
    name: str,
    version: str,
    digest: str,
    size: int,
    created: str,
) -> GoldenSet:
    """The golden set of a draft whose inputs were read and packed into an archive of that digest and size.

    Without a version, twelve digits of the hash of its content are it. `GoldenSetRejected` where two inputs
    have the same content, or one is empty, or one or all are too large.
    """
    _require_distinct(inputs)
    _require_sizes(inputs)
    content = {
        "digest": digest,
        "size": size,
        "description": author.description,
        "labels": author.labels,
        "examples": [asdict(example) | {"size": inputs[example.input].size} for example in author.examples],
    }
    own = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    facts = {"schema": 1, "name": name, "version": version or own, "created": created}
    return _validated(_golden_sets, json.dumps(facts | content).encode(), "The golden set")


def parse(content: bytes, *, source: str) -> GoldenSet:
    """A published golden set's manifest; `GoldenSetRejected` names `source` and what is wrong."""
    return _validated(_golden_sets, content, source)


def require_known(golden: GoldenSet, labels: Collection[str], model: str) -> str:
    """Which of its labels that model lacks, as a sentence; "" where it knows all of them.

    `GoldenSetRejected` where it knows none of them.
    """
    used = dict.fromkeys(golden.label(example) for example in golden.examples)
    unknown = [label for label in used if label not in set(labels)]
    if not unknown:
        return ""
    listed = _listed([quoted(label) for label in unknown])
    named = f"{model} does not know {len(unknown)} of {len(used)} labels: {listed}."
    if len(unknown) == len(used):
        raise GoldenSetRejected(named, "Write the labels as the model's manifest does.")
    return f"{named} Their examples are not compared until both models know them."


def _validated(adapter: TypeAdapter[T], content: bytes, source: str) -> T:
    def allowed(location: Location) -> list[str]:
        is_draft = adapter is _drafts
        outer, inner = (Draft, AuthorsExample) if is_draft else (GoldenSet, GoldenExample)
        return [key.name for key in fields(inner if str(location[0]) == "examples" else outer)]

    try:
        parsed = parsed_json(content)
    except ValueError as error:
        raise GoldenSetRejected(f"{source} is not valid JSON: {error}.", "Correct the manifest.") from error
    try:
        return adapter.validate_json(json.dumps(parsed))
    except ValidationError as error:
        wrong = validation_message(error, allowed).split("; ")
        more = [f"and {len(wrong) - LISTED} more"] if len(wrong) > LISTED else []
        raise GoldenSetRejected(
            f"{source}: {'; '.join([*wrong[:LISTED], *more])}.", "Correct the manifest and publish again."
        ) from error


def _require_known_classes(
    labels: Sequence[str], examples: Sequence[AuthorsExample] | Sequence[GoldenExample]
) -> None:
    unknown = [example for example in examples if example.class_index >= len(labels)]
    if unknown:
        named = _listed([f"{example.input} has {example.class_index}" for example in unknown])
        raise ValueError(f"class indexes count {len(labels)} labels from 0, but {named}")


def _require_distinct(inputs: Mapping[str, InputFile]) -> None:
    first: dict[str, str] = {}
    same = []
    for name, file in inputs.items():
        if (other := first.setdefault(file.digest, name)) != name:
            same.append(f"{name} and {other}")
    if same:
        raise GoldenSetRejected(
            f"Inputs have the same content: {_listed(same)}.",
            "Keep one of each: an example that counts twice makes a difference look surer than it is.",
        )


def _require_sizes(inputs: Mapping[str, InputFile]) -> None:
    if empty := [name for name, file in inputs.items() if not file.size]:
        raise GoldenSetRejected(
            f"Inputs are empty: {_listed(empty)}.", "Remove them, or put the files there."
        )
    if large := [name for name, file in inputs.items() if file.size > LARGEST_INPUT]:
        raise GoldenSetRejected(
            f"Inputs have more than {LARGEST_INPUT >> 20} MB: {_listed(large)}.", "Make them smaller."
        )
    require_total(sum(file.size for file in inputs.values()))


def require_total(size: int) -> None:
    """`GoldenSetRejected` where the inputs together have more than `LARGEST` bytes."""
    if size > LARGEST:
        raise GoldenSetRejected(
            f"The inputs have {size / 1e6:.0f} MB together; at most {LARGEST / 1e6:.0f} MB are taken.",
            "Publish fewer or smaller inputs: every run of ci asks both images all of them.",
        )


def _listed(names: Sequence[str]) -> str:
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    return ", ".join([*names[:LISTED], *more])
