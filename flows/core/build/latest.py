"""`latest`: which image the next release takes, why that one, and whether another may take its place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from flows.core.build.capsule import Capsule
from flows.core.build.commit import Commit
from flows.core.build.content import SAME, BuildContent, ModelVersion, what_changed
from flows.core.build.image import Image
from flows.core.errors import PermanentError
from flows.core.model.model import Model
from flows.core.model.names import Digest
from flows.core.text import validation_message

INDEX = "application/vnd.oci.image.index.v1+json"
"""Media type of the pointer: OCI image specification, "Image Index"."""

COMMIT = r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$"
_PREFIX = "dev.slipway."

TICK = timedelta(seconds=1)
UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class LatestPointer:
    """What `latest` says: the image by digest, and the content, branch and run it came from.

    `subject` is the commit's. Its time is `UNKNOWN_TIME` in a pointer of before there was a field for it.
    """

    digest: str
    content: BuildContent
    subject: str
    branch: str
    run: str

    @classmethod
    def to(cls, image: Image, commit: Commit, model: Model, capsule: Capsule, run: str) -> "LatestPointer":
        """The pointer that names this image for these reasons."""
        return cls(
            digest=image.digest,
            content=BuildContent(
                commit=commit.sha,
                model=model.named,
                committed=commit.time.astimezone(UTC),
                capsule=capsule.hash,
            ),
            subject=commit.subject,
            branch=commit.branch,
            run=run,
        )

    def following(self, current: "LatestPointer") -> "LatestPointer":
        """The same with a time that only rises along the branch, for a commit that contains `current`'s.

        Releases go by that time: a committer's clock may be wrong.
        """
        before = current.content.committed
        if before == UNKNOWN_TIME:
            return self
        same = self.content.commit == current.content.commit
        committed = before if same else max(self.content.committed, before + TICK)
        return replace(self, content=replace(self.content, committed=committed))

    @property
    def identity(self) -> tuple[str, ...]:
        """What a reader would notice if it changed; who put it there and in which run does not count."""
        content = self.content
        return (self.digest, content.commit, content.model.version, content.model.digest)

    def to_index(self, media_type: str, size: int) -> dict[str, Any]:
        """A one-entry OCI index; `media_type` and `size` (bytes) are those of the image's manifest."""
        entry = {
            "mediaType": media_type,
            "digest": self.digest,
            "size": size,
            "platform": {"architecture": "amd64", "os": "linux"},
        }
        return {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [entry],
            "annotations": {
                "org.opencontainers.image.revision": self.content.commit,
                _PREFIX + "committed": self.content.committed.isoformat(),
                _PREFIX + "subject": self.subject,
                _PREFIX + "branch": self.branch,
                _PREFIX + "model": self.content.model.name,
                _PREFIX + "model.version": self.content.model.version,
                _PREFIX + "model.digest": self.content.model.digest,
                _PREFIX + "capsule": self.content.capsule,
                _PREFIX + "run": self.run,
            },
        }

    @classmethod
    def from_index(cls, index: Mapping[str, Any]) -> "LatestPointer | None":
        """The pointer that this index is, or None for an index that is not Slipway's.

        `PermanentError` where it says that it is, and is malformed: anybody who may push can have written it.
        """
        annotations = index.get("annotations")
        if not isinstance(annotations, Mapping) or _PREFIX + "capsule" not in annotations:
            return None
        try:
            found = _Index.model_validate(index)
        except ValidationError as error:
            raise PermanentError(
                f"The registry's pointer to an image is malformed: {validation_message(error)}.",
                "Delete the tag in the registry; the next run of ci writes it again.",
            ) from error
        notes, [entry] = found.annotations, found.manifests
        return cls(
            digest=entry.digest,
            content=BuildContent(
                commit=notes.commit,
                model=ModelVersion(notes.model, notes.model_version, notes.model_digest),
                committed=notes.committed or UNKNOWN_TIME,
                capsule=notes.capsule,
            ),
            subject=notes.subject,
            branch=notes.branch,
            run=notes.run,
        )


def _noted(name: str, pattern: str = "") -> Any:
    return Field(alias=_PREFIX + name, pattern=pattern or None)


class _Annotations(BaseModel):
    commit: Annotated[str, Field(alias="org.opencontainers.image.revision", pattern=COMMIT)]
    committed: Annotated[AwareDatetime | None, Field(alias=_PREFIX + "committed")] = None
    subject: Annotated[str, _noted("subject")]
    branch: Annotated[str, _noted("branch")]
    model: Annotated[str, _noted("model")]
    model_version: Annotated[str, _noted("model.version")]
    model_digest: Annotated[str, _noted("model.digest")]
    capsule: Annotated[str, _noted("capsule", r"^[0-9a-f]{64}$")]
    run: Annotated[str, _noted("run")]


class _Entry(BaseModel):
    digest: Digest


class _Index(BaseModel):
    """An OCI image index with one entry; what else it holds is ignored."""

    manifests: Annotated[list[_Entry], Field(min_length=1, max_length=1)]
    annotations: _Annotations


@dataclass(frozen=True)
class Move:
    """`latest` is to name this image now."""

    reason: str

    def __str__(self) -> str:
        return f"moved: {self.reason}"


@dataclass(frozen=True)
class Keep:
    """`latest` stays as it is."""

    reason: str

    def __str__(self) -> str:
        return f"stays: {self.reason}"


@dataclass(frozen=True)
class BranchFacts:
    """What the branch and the store say at the moment of moving.

    `on_branch`: the candidate's commit is on the released branch. `behind`: it is a true ancestor of the one
    that `latest` names. `ahead`: it contains that one, or is that one. `current_on_branch`: the commit that
    `latest` names is still on the released branch (not so after a force-push). `wanted_model`: version and
    digest of the model that is pinned, else of the one that the store points to.
    """

    released_branch: str
    on_branch: bool
    behind: bool
    ahead: bool
    current_on_branch: bool
    wanted_model: tuple[str, str]


def decide(candidate: LatestPointer, current: LatestPointer | None, standing: BranchFacts) -> Move | Keep:
    """Whether `latest` moves to `candidate`: two runs that end in the wrong order must not move it back."""
    commit, model = candidate.content.commit, candidate.content.model
    if not standing.on_branch:
        return Keep(f"commit {commit[:7]} is not on the released branch {standing.released_branch}")
    if (model.version, model.digest) != standing.wanted_model:
        return Keep(f"{model} is not the model that is wanted")
    if current is None:
        return Move("there was no latest image yet")
    if candidate.identity == current.identity:
        return Keep("latest names this image already")
    if standing.behind and standing.current_on_branch:
        return Keep(f"commit {commit[:7]} is behind {current.content.commit[:7]}, which latest names")
    if standing.current_on_branch and not standing.ahead:
        return Keep(f"commit {commit[:7]} lacks {current.content.commit[:7]}, which latest names")
    if standing.behind:
        return Move(f"commit {current.content.commit[:7]} is no longer on {standing.released_branch}")
    return Move(_difference(candidate, current))


def _difference(candidate: LatestPointer, current: LatestPointer) -> str:
    changed = what_changed(current.content, candidate.content)
    return f"image {current.digest[:19]} → {candidate.digest[:19]}" if changed == SAME else changed
