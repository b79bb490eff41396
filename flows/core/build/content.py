"""What an image is made of, and how that differs from the image before, in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.core.untrusted import Instant

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
    """A commit by its full SHA, a model, and a base image: what distinguishes images for a person.

    `base_digest` is the base image's, "" where it is not known: it was not recorded before version 0.2.
    """

    commit: str
    model: ModelVersion
    base_digest: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        return f"{self.commit[:7]} + {self.model}"


@dataclass(frozen=True)
class BuildContent(Content):
    """The content of an image that was built, with the time of its commit and its capsule's hash.

    `committed` is the time of the commit for which the image is used now: a revert uses an older image again.
    `code_half` and `model_half` are the hashes of which the capsule is made, "" where they are not known:
    older images do not name them.
    """

    committed: Instant
    capsule: str
    code_half: str = field(default="", kw_only=True)
    model_half: str = field(default="", kw_only=True)

    @property
    def halves(self) -> str:
        """Both halves, as a person names them; "" where they are not known."""
        if not (self.code_half and self.model_half):
            return ""
        return f"code {self.code_half[:12]}, model {self.model_half[:12]}"

    def to_json(self) -> dict[str, Any]:
        """Plain values side by side, as release records keep them."""
        return {
            "commit": self.commit,
            "committed": self.committed.isoformat(),
            "model": self.model.name,
            "model_version": self.model.version,
            "model_digest": self.model.digest,
            "capsule": self.capsule,
            "base_digest": self.base_digest,
            "code_half": self.code_half,
            "model_half": self.model_half,
        }

    @staticmethod
    def nested(values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a content and its model, as far as they are among these plain values."""
        model = {field: values[key] for field, key in _OF_MODEL.items() if key in values}
        return {key: values[key] for key in _OF_BUILD if key in values} | {"model": model}


_OF_BUILD = ("commit", "committed", "capsule", "base_digest", "code_half", "model_half")
_OF_MODEL = {"name": "model", "version": "model_version", "digest": "model_digest"}


def what_changed(before: Content | None, after: Content) -> str:
    """Such as `same code, model 1.0.0 → 1.1.0`; `before` is None where there was nothing.

    The base image is named if it is known to be another.
    """
    if before is None:
        return FIRST
    return ", ".join((_code(before, after), _model(before.model, after.model), *_base(before, after)))


def _code(before: Content, after: Content) -> str:
    if before.commit == after.commit:
        return "same code"
    if _code_half(before) and _code_half(before) == _code_half(after):
        return f"same code, of commit {after.commit[:7]} now"
    return f"new code {before.commit[:7]} → {after.commit[:7]}"


def _code_half(content: Content) -> str:
    return content.code_half if isinstance(content, BuildContent) else ""


def _model(before: ModelVersion, after: ModelVersion) -> str:
    if before.name != after.name:
        return f"model {before} → {after}"
    if before.version != after.version:
        return f"model {before.version} → {after.version}"
    if before.digest != after.digest:
        return f"model {after.version} with other content"
    return "same model"


def _base(before: Content, after: Content) -> list[str]:
    if "" in {before.base_digest, after.base_digest} or before.base_digest == after.base_digest:
        return []
    return [f"base image {before.base_digest[:19]} → {after.base_digest[:19]}"]
