"""A trained model, and the pointer that says which of its versions is the newest."""

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from flows.core.build.content import ModelVersion
from flows.core.errors import ModelRejected
from flows.core.model.names import Digest, Moment, StoreVersion, Version, is_version
from flows.core.text import quoted, validation_message

AZURE, AWS = "azure-blob-storage-credentials", "aws-credentials"
"""The types of Prefect blocks that lead to a store."""


@dataclass(frozen=True)
class Model:
    """One published version of a model.

    In the store it is `<name>/<version>/model.onnx` with `<name>/<version>/manifest.json` beside it, and
    `<name>/latest.json` points to the newest. Digests are `sha256:` and 64 hex digits; `size` is bytes of the
    model file. `manifest_digest` covers labels, preprocessing and examples, which change answers as much as
    weights do. `stored` is the store's own id of this version of the file, "" where it keeps none; it is no
    content, and of two models that differ in nothing else both are the same.
    """

    name: str
    version: str
    digest: str
    manifest_digest: str
    size: int
    stored: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def files(self) -> dict[str, str]:
        """The names of its files, and the digest of each."""
        return {"model.onnx": self.digest, "manifest.json": self.manifest_digest}

    @property
    def named(self) -> ModelVersion:
        """Name, version and digest of its file alone."""
        return ModelVersion(self.name, self.version, self.digest)

    def to_json(self) -> dict[str, Any]:
        """The pointer file's content, but for ids of the store."""
        return {key: value for key, value in asdict(self).items() if key != "stored"}


LARGEST = 2048 << 20
"""Default of `[model] max_size`, in bytes: the largest file of ONNX's format."""


def require_size(what: object, size: int, largest: int) -> None:
    """`ModelRejected` where a model file has more than `largest` bytes."""
    if size > largest:
        raise ModelRejected(
            f"{what} has {size} bytes; at most {largest} are taken.",
            "Publish a smaller model, or raise [model] max_size in slipway.toml.",
        )


@dataclass(frozen=True)
class ModelVersionSeen:
    """Which model the next image gets, as far as that is known without a download.

    `identity` differs where the weights do. Of a published model, it is the digest; of a plain file, whose
    digest is not known yet, what the store says about it. Such a file is `settled` once two looks agree.
    """

    name: str
    version: str
    identity: str
    settled: bool

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def token(self) -> str:
        """Version and identity: a version may have the weights of another, but its own labels."""
        return f"{self.version}@{self.identity}"


@dataclass(frozen=True)
class Pin:
    """What `<name>/pin.json` says: images get that version, however new others are, until the pin is lifted.

    `since` is RFC 3339, UTC; `run` is the flow run that pinned it.
    """

    version: str
    since: str
    run: str

    def to_bytes(self) -> bytes:
        """The file's content."""
        return f"{json.dumps(asdict(self), indent=1)}\n".encode()

    @classmethod
    def parse(cls, content: bytes, *, source: str) -> Self:
        """Read back what `to_bytes` wrote; `ModelRejected` names `source` when it is something else."""
        try:
            return cls(**_PinFile.model_validate_json(content).model_dump())
        except ValidationError as error:
            raise ModelRejected(
                f"{source} is no pin: {validation_message(error)}.",
                "Delete it, or pin a version: ci with model=<version>.",
            ) from error


class Stored(BaseModel):
    """What `<name>/<version>/stored.json` says: the store's ids of the versions of both files, as they were
    published; None where the store keeps no versions."""

    model_config = ConfigDict(strict=True, frozen=True)

    model: StoreVersion | None = None
    manifest: StoreVersion | None = None

    @property
    def is_known(self) -> bool:
        """Whether any id is."""
        return self != NOT_STORED

    def to_bytes(self) -> bytes:
        """The file's content."""
        return f"{self.model_dump_json(indent=1)}\n".encode()

    @classmethod
    def parse(cls, content: bytes, *, source: str) -> Self:
        """Read back what `to_bytes` wrote; `ModelRejected` names `source` when it is something else."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise ModelRejected(
                f"{source} does not hold ids of versions: {validation_message(error)}.",
                "Delete it: then the current files of that version of the model count.",
            ) from error


NOT_STORED = Stored()


@dataclass(frozen=True)
class Latest:
    """What `<name>/latest.json` says: the newest model, when it was published (RFC 3339, UTC), and which
    versions of its files the store has."""

    model: Model
    published: str
    stored: Stored = NOT_STORED

    def to_bytes(self) -> bytes:
        """The file's content."""
        content = self.model.to_json() | {"published": self.published}
        if self.stored.is_known:
            content["stored"] = self.stored.model_dump()
        return f"{json.dumps(content, indent=1)}\n".encode()

    @classmethod
    def parse(cls, content: bytes, *, source: str, name: str) -> Self:
        """Read back what `to_bytes` wrote; `ModelRejected` names `source` when it is something else, or
        points to a model of another name."""
        try:
            found = _LatestFile.model_validate_json(content)
            if found.name != name:
                raise _no_pointer(source, f"key 'name' is {quoted(found.name)}, not {name!r}")
        except ValidationError as error:
            raise _no_pointer(source, validation_message(error)) from error
        model = Model(**found.model_dump(exclude={"published", "stored"}), stored=found.stored.model or "")
        return cls(model, found.published, found.stored)


def _version(text: str) -> str:
    if not is_version(text):
        raise ValueError("is the pointer's name")
    return text


class _File(BaseModel):
    """Untrusted: any user who may write to the store can write it. Keys of later versions are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


class _PinFile(_File):
    version: Annotated[Version, AfterValidator(_version)]
    since: Moment
    run: str


class _LatestFile(_File):
    name: str
    version: Annotated[Version, AfterValidator(_version)]
    digest: Digest
    manifest_digest: Digest
    size: NonNegativeInt
    published: Moment
    stored: Stored = NOT_STORED


def _no_pointer(source: str, wrong: str) -> ModelRejected:
    return ModelRejected(
        f"{source} is no pointer to a model: {wrong}.", "Publish a version; that writes the pointer again."
    )
