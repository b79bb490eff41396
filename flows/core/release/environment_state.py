"""What an environment remembers beside its releases: that a person holds it, which images failed there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from flows.core.local_time import wall_time

KEPT = 50
"""Marks that are kept: the newest."""


@dataclass(frozen=True)
class Hold:
    """The environment stays as it is until a person resumes it."""

    since: datetime
    by: str
    reason: str

    def as_text(self, zone: tzinfo | None) -> str:
        """Since when, by whom and why, in that time zone."""
        return f"held since {wall_time(self.since, zone)} by {self.by}: {self.reason}"


@dataclass(frozen=True)
class Quarantine:
    """The image of that digest failed here, in that run; it isn't released again by itself."""

    digest: str
    reason: str
    since: datetime
    run: str


@dataclass(frozen=True)
class EnvironmentState:
    """An environment's hold, if there is one, and its marks, the newest first, one a digest."""

    hold: Hold | None = None
    marks: tuple[Quarantine, ...] = ()

    def mark_of(self, digest: str) -> Quarantine | None:
        """The mark of that image, or None."""
        return next((mark for mark in self.marks if mark.digest == digest), None)

    def with_hold(self, hold: Hold) -> "EnvironmentState":
        """The same, held."""
        return replace(self, hold=hold)

    def without_hold(self) -> "EnvironmentState":
        """The same, resumed."""
        return replace(self, hold=None)

    def with_mark(self, mark: Quarantine) -> "EnvironmentState":
        """The same with this mark in place of an older one of its image."""
        return replace(self, marks=(mark, *self.without_mark(mark.digest).marks)[:KEPT])

    def without_mark(self, digest: str) -> "EnvironmentState":
        """The same without that image's mark."""
        return replace(self, marks=tuple(mark for mark in self.marks if mark.digest != digest))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the ConfigMap keeps them."""
        return {
            "hold": _plain(self.hold) if self.hold else None,
            "marks": [_plain(mark) for mark in self.marks],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "EnvironmentState":
        """The notes of such values."""
        hold = Hold(**_parsed(content["hold"])) if content.get("hold") else None
        return cls(hold, tuple(Quarantine(**_parsed(mark)) for mark in content.get("marks", [])))


def _plain(value: Hold | Quarantine) -> dict[str, Any]:
    return {**asdict(value), "since": value.since.isoformat()}


def _parsed(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "since": datetime.fromisoformat(content["since"])}
