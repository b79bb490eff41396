"""A release's record: what was released, why, by whom, and what became of it.

Each is a Secret in the cluster. The cluster says what is live, Prefect how it came about.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, TypeAdapter, ValidationError

from flows.core.build.content import BuildContent
from flows.core.build.image import Image
from flows.core.errors import RecordUnreadable
from flows.core.release.manifests_source import ManifestsSource
from flows.core.text import quoted, validation_message
from flows.core.untrusted import Instant

FORMAT = 1
"""Number of the stored format. It rises when an older Slipway would misread a record, but not for a new field
that an older one may ignore."""

KEPT = 10
"""Number of an environment's records that are kept, the newest; `expired` names those that stay besides."""

ReleaseStatus = Literal["pending", "deployed", "failed", "rolled_back", "superseded"]
"""pending: under way, or interrupted. deployed: live and verified. superseded: was deployed, a later one is.
failed: the image failed. rolled_back: undone for another reason, or by a rollback."""

_STATUS_BEFORE: Mapping[str, ReleaseStatus] = {"good": "deployed", "bad": "failed", "undone": "rolled_back"}
_FIELD_BEFORE = {"doubt": "degraded", "takes_back": "is_rollback"}
"""What records of version 0.1 call the same; clusters keep such records for as long as they are needed."""

Object = Mapping[str, Any]
Identity = tuple[str, str, str]
"""apiVersion's group, kind and name of an object; its namespace is the environment's."""


def _an_object(item: Object) -> Object:
    metadata = item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not all(isinstance(text, str) for text in (item.get("apiVersion"), item.get("kind"), name)):
        raise ValueError("has no apiVersion, kind or name")
    return item


@dataclass(frozen=True)
class Record:
    """One release of one environment; `verdict` is its status.

    - `model_created`: the model's time.
    - `objects`: the rendered manifests. `manifests`: their hash. `source`: the folder that they were rendered
      from, None before version 0.2.
    - `asked_for`: why it was requested. `reason`: why it has this status.
    - `good_since`: when it was deployed and verified. `ended`: when that ended, or when it failed.
    - `undoing`: why it is being undone, "" if it is not. `fault`: what is at fault. `answered_wrong`: the
      image is at fault whatever the manifests are.
    - `is_rollback`: it undoes what was live before it, and does not supersede it.
    - `lifts_hold`: the time of the hold that ends once this release is deployed.
    - `before`: objects that were there before the release and are not its own; an undo restores them.
    - `degraded`: what a later check found wrong, "" once one passes. A degraded release promotes nothing.
    - `forced`: how a person overrode the verdict of the image's duel, "" where none did.
    - `written_by`: version and commit of the Slipway that wrote it last, "" before version 0.2.
    """

    number: int
    image: Image
    content: BuildContent
    model_created: Instant
    manifests: str
    objects: tuple[Annotated[Object, AfterValidator(_an_object)], ...]
    run: str
    asked_by: str
    asked_for: str
    started: Instant
    verdict: ReleaseStatus = "pending"
    reason: str = ""
    undoing: str = ""
    fault: str = ""
    answered_wrong: bool = False
    is_rollback: bool = False
    lifts_hold: Instant | None = None
    degraded: str = ""
    good_since: Instant | None = None
    ended: Instant | None = None
    written_by: str = ""
    source: ManifestsSource | None = None
    before: tuple[Object, ...] = ()
    forced: str = ""

    def __str__(self) -> str:
        return f"release {self.number} ({self.content})"

    @property
    def ending(self) -> str:
        """The status as people read it, and the reason if there is one."""
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
        """The same record with its last status, and why and when it got it."""
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
            "before": list(self.before),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Record":
        """The record that `to_json` of this version, or of an earlier one, made into these values.

        Unknown fields are ignored. `RecordUnreadable` if a value has another form, or the format is newer
        than this Slipway's.
        """
        if not isinstance(content, Mapping):
            raise RecordUnreadable("The record is damaged: it is no table.")
        _require_known_format(content)
        values = {_FIELD_BEFORE.get(key, key): value for key, value in content.items()}
        verdict = values.get("verdict")
        values["verdict"] = _STATUS_BEFORE.get(verdict, verdict) if isinstance(verdict, str) else verdict
        try:
            return _records.validate_python({**values, "content": BuildContent.nested(values)})
        except ValidationError as error:
            number = quoted(content.get("number", "?"))
            raise RecordUnreadable(
                f"The record of release {number} is damaged: {validation_message(error)}."
            ) from error


_records = TypeAdapter(Record)


def _require_known_format(content: Mapping[str, Any]) -> None:
    written = content.get("format", 0)
    if not isinstance(written, int) or written > FORMAT:
        writer = content.get("written_by") or "a newer version"
        raise RecordUnreadable(
            f"Release {content.get('number', '?')} was recorded by a newer Slipway ({writer}), in format "
            f"{written}; this one reads formats up to {FORMAT}.",
            "Upgrade this checkout, as docs/upgrading.md describes, and start the run again.",
        )


def identity(item: Object) -> Identity:
    """What an object is found by in its namespace."""
    return item["apiVersion"].rpartition("/")[0], item["kind"], item["metadata"]["name"]


def newest_first(history: Iterable[Record]) -> list[Record]:
    """By number, the highest first."""
    return sorted(history, key=lambda record: record.number, reverse=True)


def next_number(history: Iterable[Record]) -> int:
    """The number of the release that is recorded next."""
    return max((record.number for record in history), default=0) + 1


def pending(history: Iterable[Record]) -> Record | None:
    """The release that is under way, or was interrupted."""
    return next((r for r in newest_first(history) if r.verdict == "pending"), None)


def live(history: Iterable[Record]) -> Record | None:
    """The live release: the newest with the status deployed, degraded or not."""
    return next((r for r in newest_first(history) if r.verdict == "deployed"), None)


def previous_good(history: Iterable[Record]) -> Record | None:
    """What a rollback restores: the newest good release before the live one that has other content."""
    current = live(history)
    return next(
        (
            r
            for r in newest_first(history)
            if r.was_good and (current is None or (r.number < current.number and not _same(r, current)))
        ),
        None,
    )


def promotable(
    history: Iterable[Record], bake: float, now: datetime, allowed: Callable[[Record], bool] = lambda _: True
) -> Record | None:
    """The newest `allowed` release that was good there for `bake` minutes, and was not rolled back."""
    known = newest_first(history)
    fit = (r for r in known if r.was_good and not is_rolled_back(r, known) and r.baked(now) >= bake)
    return next((r for r in fit if allowed(r)), None)


def is_rolled_back(record: Record, history: Iterable[Record]) -> bool:
    """Whether a rollback is live instead whose run ended before it closed this record."""
    current = live(history)
    return (
        record.verdict == "deployed"
        and current is not None
        and current.is_rollback
        and record.number < current.number
    )


def expired(history: Sequence[Record]) -> list[Record]:
    """Records that may be deleted: those beyond the `KEPT` newest that are not needed.

    The live one, a pending one, the last good one and the one that a rollback restores stay.
    """
    ordered = newest_first(history)
    good = next((r for r in ordered if r.was_good), None)
    needed = {r.number for r in (live(ordered), previous_good(ordered), pending(ordered), good) if r}
    return [record for record in ordered[KEPT:] if record.number not in needed]


def _same(one: Record, other: Record) -> bool:
    return (one.image.digest, one.manifests) == (other.image.digest, other.manifests)
