"""What distinguishes an image from the one before it, in a person's words: the code, the model, or both."""

from dataclasses import dataclass
from typing import Protocol


class Made(Protocol):
    """Anything that knows what an image was made of: a pointer, a candidate, a record."""

    @property
    def commit(self) -> str:
        """The full SHA."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def model_version(self) -> str:
        """As it was published."""

    @property
    def model_digest(self) -> str:
        """Of the model file."""


@dataclass(frozen=True)
class Content:
    """A commit by its full SHA, and a model by name, version and digest."""

    commit: str
    model: str
    model_version: str
    model_digest: str

    def __str__(self) -> str:
        return f"{self.commit[:7]} + {self.model} {self.model_version}"


SAME = "same code, same model"
FIRST = "the first: there was none before"


def what_changed(before: Made | None, after: Made) -> str:
    """As `same code, model 1.0.0 → 1.1.0`; `before` is None where there was nothing."""
    return FIRST if before is None else f"{_code(before, after)}, {_model(before, after)}"


def _code(before: Made, after: Made) -> str:
    if before.commit == after.commit:
        return "same code"
    return f"new code {before.commit[:7]} → {after.commit[:7]}"


def _model(before: Made, after: Made) -> str:
    if before.model != after.model:
        return f"model {before.model} {before.model_version} → {after.model} {after.model_version}"
    if before.model_version != after.model_version:
        return f"model {before.model_version} → {after.model_version}"
    if before.model_digest != after.model_digest:
        return f"model {after.model_version} with other content"
    return "same model"
