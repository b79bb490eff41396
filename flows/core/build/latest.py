"""`latest`: which image the next release takes, why that one, and whether another may take its place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from flows.core.build.capsule import CODE_HALF, MODEL_HALF, Capsule
from flows.core.build.commit import Commit
from flows.core.build.content import SAME, BuildContent, ModelVersion, what_changed
from flows.core.build.image import Image
from flows.core.errors import PermanentError
from flows.core.model.model import Model
from flows.core.model.names import Digest
from flows.core.text import validation_message
from flows.core.untrusted import Instant

INDEX = "application/vnd.oci.image.index.v1+json"
"""Media type of the pointer: OCI image specification, "Image Index"."""

BASE_DIGEST = "org.opencontainers.image.base.digest"
"""Annotation and label: the digest of the base image (OCI image specification, "Annotations")."""

HALF = r"^(?:[0-9a-f]{64})?$"
COMMIT = r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$"
_PREFIX = "dev.slipway."

LONGEST = 10_000
"""Characters of an annotation."""

TICK = timedelta(seconds=1)
UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class LatestPointer:
    """What `latest` says: the image by digest, and the content, branch and run it came from.

    `subject` is the commit's. Its time is `UNKNOWN_TIME` in older pointers, which had no field for it.
    `forced` says how a person overrode the verdict of its duel, "" where none did.
    """

    digest: str
    content: BuildContent
    subject: str
    branch: str
    run: str
    forced: str = ""

    @classmethod
    def to(
        cls, image: Image, commit: Commit, model: Model, base_digest: str, capsule: Capsule, *, run: str
    ) -> "LatestPointer":
        """The pointer that names this image for these reasons."""
        return cls(
            digest=image.digest,
            content=BuildContent(
                commit=commit.sha,
                model=model.named,
                committed=commit.time.astimezone(UTC),
                capsule=capsule.hash,
                base_digest=base_digest,
                code_half=capsule.code,
                model_half=capsule.model,
            ),
            subject=commit.subject[:LONGEST],
            branch=commit.branch,
            run=run,
        )

    def following(self, current: "LatestPointer") -> "LatestPointer":
        """The same with a later time than `current` has, for a commit that contains that one's.

        Releases compare these times. The committer's clock may be wrong, so it does not decide alone. What
        was forced stays so.
        """
        if self.digest == current.digest and not self.forced:
            return replace(self, forced=current.forced)._timed_after(current)
        return self._timed_after(current)

    def _timed_after(self, current: "LatestPointer") -> "LatestPointer":
        before = current.content.committed
        if before == UNKNOWN_TIME:
            return self
        same = self.content.commit == current.content.commit
        committed = before if same else max(self.content.committed, before + TICK)
        return replace(self, content=replace(self.content, committed=committed))

    @property
    def identity(self) -> tuple[str, ...]:
        """What distinguishes two pointers: image, commit and model, but not the run that wrote it."""
        content = self.content
        return (self.digest, content.commit, content.model.version, content.model.digest)

    def to_index(self, media_type: str, size: int, platform: str) -> dict[str, Any]:
        """A one-entry OCI index; `media_type` and `size` (bytes) are those of the image's manifest,
        `platform` is as in `linux/amd64`."""
        os, _, architecture = platform.partition("/")
        entry = {
            "mediaType": media_type,
            "digest": self.digest,
            "size": size,
            "platform": {"architecture": architecture, "os": os},
        }
        known = {
            BASE_DIGEST: self.content.base_digest,
            CODE_HALF: self.content.code_half,
            MODEL_HALF: self.content.model_half,
            _PREFIX + "forced": self.forced,
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
                **{name: value for name, value in known.items() if value},
            },
        }

    @classmethod
    def from_index(cls, index: Mapping[str, Any]) -> "LatestPointer | None":
        """The pointer in this index, or None for an index that is not Slipway's.

        `PermanentError` where it claims to be Slipway's and is malformed: any user who may push can write it.
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
                base_digest=notes.base_digest,
                code_half=notes.code_half,
                model_half=notes.model_half,
            ),
            subject=notes.subject,
            branch=notes.branch,
            run=notes.run,
            forced=notes.forced,
        )


def _noted(name: str, pattern: str = "") -> Any:
    return Field(alias=_PREFIX + name, pattern=pattern or None, max_length=LONGEST)


class _Annotations(BaseModel):
    commit: Annotated[str, Field(alias="org.opencontainers.image.revision", pattern=COMMIT)]
    committed: Annotated[Instant | None, Field(alias=_PREFIX + "committed")] = None
    subject: Annotated[str, _noted("subject")]
    branch: Annotated[str, _noted("branch")]
    model: Annotated[str, _noted("model")]
    model_version: Annotated[str, _noted("model.version")]
    model_digest: Annotated[str, _noted("model.digest")]
    capsule: Annotated[str, _noted("capsule", r"^[0-9a-f]{64}$")]
    run: Annotated[str, _noted("run")]
    forced: Annotated[str, _noted("forced")] = ""
    base_digest: Annotated[Digest | Literal[""], Field(alias=BASE_DIGEST)] = ""
    code_half: Annotated[str, Field(alias=CODE_HALF, pattern=HALF)] = ""
    model_half: Annotated[str, Field(alias=MODEL_HALF, pattern=HALF)] = ""


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
    """`latest` does not move."""

    reason: str

    def __str__(self) -> str:
        return f"stays: {self.reason}"


@dataclass(frozen=True)
class BranchFacts:
    """What the branch and the store say at the moment of moving.

    `on_branch`: the candidate's commit is on the released branch. `behind`: it is a true ancestor of the one
    that `latest` names. `ahead`: it contains that one, or is that one. `current_on_branch`: the commit that
    `latest` names is still on the released branch (not so after a force-push). `wanted_model`: version and
    digest of the model that is pinned, else of the one that the store points to. `built_as_released`: the
    image was made when the commit was on the released branch.
    """

    released_branch: str
    on_branch: bool
    behind: bool
    ahead: bool
    current_on_branch: bool
    wanted_model: tuple[str, str]
    built_as_released: bool


def decide(candidate: LatestPointer, current: LatestPointer | None, facts: BranchFacts) -> Move | Keep:
    """Whether `latest` moves to `candidate`: two runs that end in the wrong order must not move it back."""
    commit, model = candidate.content.commit, candidate.content.model
    if not facts.on_branch:
        return Keep(f"commit {commit[:7]} is not on the released branch {facts.released_branch}")
    if not facts.built_as_released:
        return Keep(
            f"commit {commit[:7]} came to {facts.released_branch} after this run had begun; "
            f"another run builds it for {facts.released_branch}"
        )
    if (model.version, model.digest) != facts.wanted_model:
        return Keep(f"{model} is not the model that is wanted")
    if current is None:
        return Move("there was no latest image yet")
    if candidate.identity == current.identity:
        return Keep("latest names this image already")
    if facts.behind and facts.current_on_branch:
        return Keep(f"commit {commit[:7]} is behind {current.content.commit[:7]}, which latest names")
    if facts.current_on_branch and not facts.ahead:
        return Keep(f"commit {commit[:7]} lacks {current.content.commit[:7]}, which latest names")
    if facts.behind:
        return Move(f"commit {current.content.commit[:7]} is no longer on {facts.released_branch}")
    return Move(_difference(candidate, current))


def _difference(candidate: LatestPointer, current: LatestPointer) -> str:
    changed = what_changed(current.content, candidate.content)
    return f"image {current.digest[:19]} → {candidate.digest[:19]}" if changed == SAME else changed
