"""What an image is made of, and what distinguishes it from the one before, in a person's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SAME = "same code, same model"
FIRST = "the first: there was none before"


@dataclass(frozen=True)
class ModelVersion:
    """A published model by name, version and the digest of its file."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Content:
    """A commit by its full SHA, and a model: what distinguishes images for a person."""

    commit: str
    model: ModelVersion

    def __str__(self) -> str:
        return f"{self.commit[:7]} + {self.model}"


@dataclass(frozen=True)
class BuildContent(Content):
    """The same of an image that was built: with the time of its commit, and its capsule's hash.

    `committed` is that of the commit for which the image was chosen: a revert finds an older image again.
    """

    committed: datetime
    capsule: str

    def to_json(self) -> dict[str, Any]:
        """Plain values side by side, as release records keep them."""
        return {
            "commit": self.commit,
            "committed": self.committed.isoformat(),
            "model": self.model.name,
            "model_version": self.model.version,
            "model_digest": self.model.digest,
            "capsule": self.capsule,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> tuple["BuildContent", dict[str, Any]]:
        """The content among a record's values, and the other ones."""
        others = dict(values)
        model = ModelVersion(others.pop("model"), others.pop("model_version"), others.pop("model_digest"))
        committed = datetime.fromisoformat(others.pop("committed"))
        return cls(others.pop("commit"), model, committed, others.pop("capsule")), others


def what_changed(before: Content | None, after: Content) -> str:
    """As `same code, model 1.0.0 → 1.1.0`; `before` is None where there was nothing."""
    return FIRST if before is None else f"{_code(before, after)}, {_model(before.model, after.model)}"


def _code(before: Content, after: Content) -> str:
    if before.commit == after.commit:
        return "same code"
    return f"new code {before.commit[:7]} → {after.commit[:7]}"


def _model(before: ModelVersion, after: ModelVersion) -> str:
    if before.name != after.name:
        return f"model {before} → {after}"
    if before.version != after.version:
        return f"model {before.version} → {after.version}"
    if before.digest != after.digest:
        return f"model {after.version} with other content"
    return "same model"
