"""What is kept of an environment beside its records: a person's hold, and the images that failed there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import tzinfo
from typing import Any

from pydantic import TypeAdapter, ValidationError

from flows.core.errors import RecordUnreadable
from flows.core.local_time import wall_time
from flows.core.text import validation_message
from flows.core.untrusted import Instant

KEPT = 50
"""Number of quarantine marks that are kept: the newest."""


@dataclass(frozen=True)
class Hold:
    """The night releases nothing here until a person resumes it, or releases something newer."""

    since: Instant
    by: str
    reason: str

    def as_text(self, zone: tzinfo | None) -> str:
        """Since when, by whom and why, in that time zone."""
        return f"held since {wall_time(self.since, zone)} by {self.by}: {self.reason}"


@dataclass(frozen=True)
class Quarantine:
    """A mark: the image of that digest failed here, in that run. No night releases it again.

    `manifests` is the hash of those with which it failed to start, "" where it would fail with any.
    """

    digest: str
    reason: str
    since: Instant
    run: str
    manifests: str = ""

    def is_of(self, digest: str, manifests: str | None) -> bool:
        """Whether the mark stops a release of that image with these manifests; None: with any."""
        return self.digest == digest and (manifests is None or self.manifests in {"", manifests})


@dataclass(frozen=True)
class EnvironmentState:
    """An environment's hold, if there is one, and its quarantine marks, the newest first."""

    hold: Hold | None = None
    marks: tuple[Quarantine, ...] = ()

    def mark_of(self, digest: str, manifests: str | None = None) -> Quarantine | None:
        """The mark of that image with these manifests (None: with any), or None."""
        return next((mark for mark in self.marks if mark.is_of(digest, manifests)), None)

    def with_hold(self, hold: Hold) -> "EnvironmentState":
        """The same, held."""
        return replace(self, hold=hold)

    def without_hold(self) -> "EnvironmentState":
        """The same, resumed."""
        return replace(self, hold=None)

    def with_mark(self, mark: Quarantine) -> "EnvironmentState":
        """The same with this mark in place of an older one of its image and manifests."""
        others = (one for one in self.marks if (one.digest, one.manifests) != (mark.digest, mark.manifests))
        return replace(self, marks=(mark, *others)[:KEPT])

    def without_mark(self, digest: str, manifests: str) -> "EnvironmentState":
        """The same without the marks that stop a release of that image with these manifests."""
        return replace(self, marks=tuple(mark for mark in self.marks if not mark.is_of(digest, manifests)))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the ConfigMap keeps them."""
        return {
            "hold": _plain(self.hold) if self.hold else None,
            "marks": [_plain(mark) for mark in self.marks],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "EnvironmentState":
        """What `to_json` made into these values; unknown fields are ignored.

        `RecordUnreadable` says what is wrong with them.
        """
        try:
            return _notes.validate_python({"marks": (), **content})
        except (ValidationError, TypeError) as error:
            wrong = validation_message(error) if isinstance(error, ValidationError) else "they are no table"
            raise RecordUnreadable(
                f"The environment's hold and marks can't be read: {wrong}.",
                "Correct the ConfigMap slipway-environment as an administrator, or delete it: then the "
                "environment is not held, and no image is quarantined.",
            ) from error


def _plain(value: Hold | Quarantine) -> dict[str, Any]:
    return {**asdict(value), "since": value.since.isoformat()}


_notes = TypeAdapter(EnvironmentState)
