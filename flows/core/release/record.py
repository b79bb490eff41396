"""A release's record: what was released, why, by whom, and what became of it.

Kept in the cluster, as one Secret per release; the cluster says what is live, Prefect how it came about.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal

from flows.core.build.content import BuildContent
from flows.core.build.image import Image
from flows.core.errors import RecordUnreadable

FORMAT = 1
"""Number of the stored format. It rises when a Slipway of before would misread a record; a new field that it
may ignore is no reason."""

KEPT = 10
"""Records of an environment that are kept, beside the live one and the last good one."""

ReleaseStatus = Literal["pending", "deployed", "failed", "rolled_back", "superseded"]
"""pending: under way, or interrupted. deployed: live and verified. superseded: was deployed, a later one is.
failed: the image failed. rolled_back: undone for another reason, or by a rollback."""

_STATUS_BEFORE: Mapping[str, ReleaseStatus] = {"good": "deployed", "bad": "failed", "undone": "rolled_back"}
_FIELD_BEFORE = {"doubt": "degraded", "takes_back": "is_rollback"}
"""What records of version 0.1 call the same; clusters keep such records for as long as they are needed."""

Object = Mapping[str, Any]
Identity = tuple[str, str, str]
"""apiVersion's group, kind and name of an object; its namespace is the environment's."""


@dataclass(frozen=True)
class Record:
    """One release of one environment.

    `model_created` is the model's time. `objects` are the manifests as rendered,
    `manifests` their hash. `good_since` is set when it was proven, `ended` when it was good no longer, or
    never became so. `undoing` says why a pending release is being taken back, `fault` what is to blame.
    `is_rollback` is a rollback's: what was live before it is undone by it, not superseded.
    `lifts_hold` is the time of the hold that ends once this release is good.
    `written_by` is the version and the commit of the Slipway that wrote it last, "" before version 0.2.
    `degraded` says what a later proof of a good release found wrong: until one passes, it promotes nothing.
    """

    number: int
    image: Image
    content: BuildContent
    model_created: datetime
    manifests: str
    objects: tuple[Object, ...]
    run: str
    asked_by: str
    asked_for: str
    started: datetime
    verdict: ReleaseStatus = "pending"
    reason: str = ""
    undoing: str = ""
    fault: str = ""
    is_rollback: bool = False
    lifts_hold: datetime | None = None
    degraded: str = ""
    good_since: datetime | None = None
    ended: datetime | None = None
    written_by: str = ""

    def __str__(self) -> str:
        return f"release {self.number} ({self.content})"

    @property
    def ending(self) -> str:
        """The verdict as people read it, and the reason if there is one."""
        words = self.verdict.replace("_", " ")
        return f"{words}, {self.reason}" if self.reason else words

    @property
    def was_good(self) -> bool:
        """Whether it may be rolled back to: verified once, and not degraded since."""
        return self.verdict in {"deployed", "superseded"} and not self.degraded

    def baked(self, now: datetime) -> float:
        """Minutes for which it was good in its environment."""
        if self.good_since is None:
            return 0
        return ((self.ended or now) - self.good_since).total_seconds() / 60

    def closed(self, verdict: ReleaseStatus, reason: str, now: datetime) -> "Record":
        """The same with its verdict."""
        if verdict == "deployed":
            return replace(self, verdict=verdict, reason=reason, good_since=now, undoing="", ended=None)
        return replace(self, verdict=verdict, reason=reason, ended=now)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the Secret keeps them."""
        values = asdict(self)
        times = {key: value.isoformat() for key, value in values.items() if isinstance(value, datetime)}
        del values["content"]
        return {
            "format": FORMAT,
            **values,
            **self.content.to_json(),
            **times,
            "objects": list(self.objects),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Record":
        """The record of such values, of this version or of one before.

        Unknown fields are ignored. `RecordUnreadable` if the format is newer than this Slipway's.
        """
        _require_known_format(content)
        content = {_FIELD_BEFORE.get(key, key): value for key, value in content.items()}
        content["verdict"] = _STATUS_BEFORE.get(content["verdict"], content["verdict"])
        times = ("model_created", "started", "lifts_hold", "good_since", "ended")
        parsed: dict[str, Any] = {
            key: datetime.fromisoformat(content[key]) for key in times if content.get(key)
        }
        parsed |= {"image": Image(**content["image"]), "objects": tuple(content["objects"])}
        parsed["content"], others = BuildContent.from_json(content)
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in {**others, **parsed}.items() if key in known})


def _require_known_format(content: Mapping[str, Any]) -> None:
    written = content.get("format", 0)
    if written > FORMAT:
        writer = content.get("written_by") or "a newer version"
        raise RecordUnreadable(
            f"Release {content.get('number', '?')} was recorded by a newer Slipway ({writer}), in format "
            f"{written}; this one reads formats up to {FORMAT}.",
            "Upgrade this checkout, as docs/upgrading.md describes, and start the run again.",
        )


def identity(item: Object) -> Identity:
    """What an object is found by in its namespace."""
    return item["apiVersion"].rpartition("/")[0], item["kind"], item["metadata"]["name"]


def added(by: Record, over: Record | None) -> tuple[Object, ...]:
    """The objects of one release that another one has not: what undoing deletes."""
    kept = {identity(item) for item in over.objects} if over else set()
    return tuple(item for item in by.objects if identity(item) not in kept)


def newest_first(history: Iterable[Record]) -> list[Record]:
    """By number, the highest first."""
    return sorted(history, key=lambda record: record.number, reverse=True)


def next_number(history: Iterable[Record]) -> int:
    """Of a release that is about to be recorded."""
    return max((record.number for record in history), default=0) + 1


def pending(history: Iterable[Record]) -> Record | None:
    """The release that is under way, or was cut off."""
    return next((r for r in newest_first(history) if r.verdict == "pending"), None)


def live(history: Iterable[Record]) -> Record | None:
    """The release that is in force: the newest with the verdict deployed, degraded or not."""
    return next((r for r in newest_first(history) if r.verdict == "deployed"), None)


def previous_good(history: Iterable[Record]) -> Record | None:
    """What a rollback goes back to: the newest that was good before the live one, with other content."""
    current = live(history)
    return next(
        (
            r
            for r in newest_first(history)
            if r.was_good and (current is None or (r.number < current.number and not _same(r, current)))
        ),
        None,
    )


def promotable(history: Iterable[Record], bake: float, now: datetime) -> Record | None:
    """The newest release that is or was good there for at least `bake` minutes, and was not taken back."""
    known = newest_first(history)
    fit = (r for r in known if r.was_good and not is_rolled_back(r, known))
    return next((r for r in fit if r.baked(now) >= bake), None)


def is_rolled_back(record: Record, history: Iterable[Record]) -> bool:
    """Whether a rollback is in force instead, which did not get to close this record."""
    current = live(history)
    return (
        record.verdict == "deployed"
        and current is not None
        and current.is_rollback
        and record.number < current.number
    )


def expired(history: Sequence[Record]) -> list[Record]:
    """Records that may go: beyond the ten newest, but never the live, the last good or a pending one."""
    ordered = newest_first(history)
    good = next((r for r in ordered if r.was_good), None)
    needed = {r.number for r in (live(ordered), previous_good(ordered), pending(ordered), good) if r}
    return [record for record in ordered[KEPT:] if record.number not in needed]


def _same(one: Record, other: Record) -> bool:
    return (one.image.digest, one.manifests) == (other.image.digest, other.manifests)
