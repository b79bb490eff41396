"""`latest`: which image the next release takes, why that one, and whether another may take its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from flows.core.build.capsule import Capsule
from flows.core.build.commit import Commit
from flows.core.build.content import SAME, what_changed
from flows.core.build.image import Image
from flows.core.model.model import Model

INDEX = "application/vnd.oci.image.index.v1+json"
"""Media type of the pointer: OCI image specification, "Image Index"."""

_PREFIX = "dev.slipway."


@dataclass(frozen=True)
class LatestPointer:
    """What `latest` says: the image by digest, and the commit, model, capsule and run it came from.

    `committed` is the commit's time (RFC 3339). A revert finds an older image again: its label has another.
    """

    digest: str
    commit: str
    committed: str
    subject: str
    branch: str
    model: str
    model_version: str
    model_digest: str
    capsule: str
    run: str

    @classmethod
    def to(cls, image: Image, commit: Commit, model: Model, capsule: Capsule, run: str) -> "LatestPointer":
        """The pointer that names this image for these reasons."""
        return cls(
            digest=image.digest,
            commit=commit.sha,
            committed=commit.time.astimezone(UTC).isoformat(),
            subject=commit.subject,
            branch=commit.branch,
            model=model.name,
            model_version=model.version,
            model_digest=model.digest,
            capsule=capsule.hash,
            run=run,
        )

    @property
    def content(self) -> tuple[str, ...]:
        """What a reader would notice if it changed; who put it there and in which run does not count."""
        return (self.digest, self.commit, self.model_version, self.model_digest)

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
                "org.opencontainers.image.revision": self.commit,
                _PREFIX + "committed": self.committed,
                _PREFIX + "subject": self.subject,
                _PREFIX + "branch": self.branch,
                _PREFIX + "model": self.model,
                _PREFIX + "model.version": self.model_version,
                _PREFIX + "model.digest": self.model_digest,
                _PREFIX + "capsule": self.capsule,
                _PREFIX + "run": self.run,
            },
        }

    @classmethod
    def from_index(cls, index: Mapping[str, Any]) -> "LatestPointer | None":
        """The pointer that this index is, or None for an index that somebody else made."""
        notes = index.get("annotations", {})
        if _PREFIX + "capsule" not in notes or len(index.get("manifests", [])) != 1:
            return None
        return cls(
            digest=index["manifests"][0]["digest"],
            commit=notes["org.opencontainers.image.revision"],
            committed=notes.get(_PREFIX + "committed", ""),
            subject=notes[_PREFIX + "subject"],
            branch=notes[_PREFIX + "branch"],
            model=notes[_PREFIX + "model"],
            model_version=notes[_PREFIX + "model.version"],
            model_digest=notes[_PREFIX + "model.digest"],
            capsule=notes[_PREFIX + "capsule"],
            run=notes[_PREFIX + "run"],
        )


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
    that `latest` names. `current_on_branch`: the commit that `latest` names is still on the released branch
    (not so after a force-push). `wanted_model`: version and digest of the model that is pinned, else
    of the one that the store points to.
    """

    released_branch: str
    on_branch: bool
    behind: bool
    current_on_branch: bool
    wanted_model: tuple[str, str]


def decide(candidate: LatestPointer, current: LatestPointer | None, standing: BranchFacts) -> Move | Keep:
    """Whether `latest` moves to `candidate`: two runs that end in the wrong order must not move it back."""
    model = f"{candidate.model} {candidate.model_version}"
    if not standing.on_branch:
        return Keep(f"commit {candidate.commit[:7]} is not on the released branch {standing.released_branch}")
    if (candidate.model_version, candidate.model_digest) != standing.wanted_model:
        return Keep(f"{model} is not the model that is wanted")
    if current is None:
        return Move("there was no latest image yet")
    if candidate.content == current.content:
        return Keep("latest names this image already")
    if standing.behind and standing.current_on_branch:
        return Keep(f"commit {candidate.commit[:7]} is behind {current.commit[:7]}, which latest names")
    if standing.behind:
        return Move(f"commit {current.commit[:7]} is no longer on {standing.released_branch}")
    return Move(_difference(candidate, current))


def _difference(candidate: LatestPointer, current: LatestPointer) -> str:
    changed = what_changed(current, candidate)
    return f"image {current.digest[:19]} → {candidate.digest[:19]}" if changed == SAME else changed
