"""What is remembered of an environment beside its releases: whether it is held, and which images are bad."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

MARKS_KEPT = 50


@dataclass(frozen=True)
class Hold:
    """Nothing is released here by itself, until it is lifted or a person asks for something newer."""

    since: datetime
    by: str
    reason: str

    def __str__(self) -> str:
        return f"held since {self.since:%Y-%m-%d %H:%M} by {self.by}: {self.reason}"


@dataclass(frozen=True)
class Mark:
    """An image (by digest) that failed here."""

    digest: str
    reason: str
    since: datetime
    run: str


@dataclass(frozen=True)
class Notes:
    """The hold, if there is one, and the marks, the newest first."""

    hold: Hold | None = None
    marks: tuple[Mark, ...] = ()

    def mark_of(self, digest: str) -> Mark | None:
        """Why that image is bad here, or None."""
        return next((mark for mark in self.marks if mark.digest == digest), None)

    def with_mark(self, mark: Mark) -> "Notes":
        """The same with this image bad, for this reason."""
        return replace(self, marks=(mark, *self.without_mark(mark.digest).marks)[:MARKS_KEPT])

    def without_mark(self, digest: str) -> "Notes":
        """The same with nothing said of that image."""
        return replace(self, marks=tuple(mark for mark in self.marks if mark.digest != digest))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "hold": _plain(self.hold) if self.hold else None,
            "marks": [_plain(mark) for mark in self.marks],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Notes":
        """The notes of such values."""
        hold = content.get("hold")
        return cls(
            Hold(**_parsed(hold)) if hold else None,
            tuple(Mark(**_parsed(mark)) for mark in content.get("marks", ())),
        )


def _plain(value: Hold | Mark) -> dict[str, Any]:
    return asdict(value) | {"since": value.since.isoformat()}


def _parsed(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "since": datetime.fromisoformat(content["since"])}
