"""A trained model, and the pointer that says which of its versions is the newest."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from flows.core.build.content import ModelVersion
from flows.core.errors import ModelRejected

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
            fields = json.loads(content)
            return cls(**{key: str(fields[key]) for key in cls.__dataclass_fields__})
        except (ValueError, KeyError, TypeError) as error:
            raise ModelRejected(
                f"{source} is no pin: {error!r}.", "Delete it, or pin a version: ci with model=<version>."
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
    def parse(cls, content: bytes, *, source: str) -> Self:
        """Read back what `to_bytes` wrote; `ModelRejected` names `source` when it is something else."""
        try:
            fields = json.loads(content)
            model = Model(**{key: fields[key] for key in Model.__dataclass_fields__})
            return cls(model, str(fields["published"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ModelRejected(
                f"{source} is no pointer to a model: {error!r}.",
                "Publish a version; that writes the pointer again.",
            ) from error
