"""A trained model, and the pointer that says which of its versions is the newest."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, ValidationError

from flows.core.build.content import ModelVersion
from flows.core.errors import ModelRejected
from flows.core.model.names import Digest, Moment, Version, is_version
from flows.core.text import quoted, validation_message

AZURE, AWS = "azure-blob-storage-credentials", "aws-credentials"
"""The types of Prefect blocks that lead to a store of models."""


@dataclass(frozen=True)
class Model:
    """One published version of a model.

    In the store it is `<name>/<version>/model.onnx` with `<name>/<version>/manifest.json` beside it, and
    `<name>/latest.json` points to the newest. Digests are `sha256:` and 64 hex digits; `size` is bytes of the
    model file. `manifest_digest` covers labels, preprocessing and examples, which change answers as much as
    weights do.
    """

    name: str
    version: str
    digest: str
    manifest_digest: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def named(self) -> ModelVersion:
        """Name, version and digest of its file alone."""
        return ModelVersion(self.name, self.version, self.digest)

    def to_json(self) -> dict[str, Any]:
        """The pointer file's content."""
        return asdict(self)


@dataclass(frozen=True)
class ModelVersionSeen:
    """Which model is wanted, as far as it is known without a download.

    `identity` differs where the weights do: the digest of a published model; of a plain file, whose digest
    is not known yet, what the store says of it. Such a file is `settled` once two looks see the same.
    """

    name: str
    version: str
    identity: str
    settled: bool

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def token(self) -> str:
        """Its identity: a version may have the weights of another and its own labels."""
        return f"{self.version}@{self.identity}"


@dataclass(frozen=True)
class Pin:
    """What `<name>/pin.json` says: that version is wanted, however new others are, until it is lifted.

    `since` is RFC 3339, UTC; `run` the flow run that pinned it.
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


@dataclass(frozen=True)
class Latest:
    """What `<name>/latest.json` says: the newest model, and when it was published (RFC 3339, UTC)."""

    model: Model
    published: str

    def to_bytes(self) -> bytes:
        """The file's content."""
        return f"{json.dumps(self.model.to_json() | {'published': self.published}, indent=1)}\n".encode()

    @classmethod
    def parse(cls, content: bytes, *, source: str, name: str) -> Self:
        """Read back what `to_bytes` wrote; `ModelRejected` names `source` when it is something else.

        So it is where it points to a model of another name.
        """
        try:
            found = _LatestFile.model_validate_json(content)
            if found.name != name:
                raise _no_pointer(source, f"key 'name' is {quoted(found.name)}, not {name!r}")
        except ValidationError as error:
            raise _no_pointer(source, validation_message(error)) from error
        return cls(Model(**found.model_dump(exclude={"published"})), found.published)


def _version(text: str) -> str:
    if not is_version(text):
        raise ValueError("is the pointer's name")
    return text


class _File(BaseModel):
    """What anybody who may write to the store can have written there; keys of later versions are ignored."""

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


def _no_pointer(source: str, wrong: str) -> ModelRejected:
    return ModelRejected(
        f"{source} is no pointer to a model: {wrong}.", "Publish a version; that writes the pointer again."
    )
