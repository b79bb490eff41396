"""The capsule: one hash of everything that enters an image or its test stage."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flows.core.build.trust import Trust

ATTACHED = ".model"
"""The end of the tag of a model's manifest beside its image. Releases read it there, without the model store.
"""

IMAGE_TAG = re.compile(rf"(?:{Trust.BRANCH.prefix})?(?P<capsule>[0-9a-f]{{64}})")
"""A tag of an image in the registry: of the released branch, or of another."""

RECIPE = 2
"""Raise it when a change to how images are built gives another image for the same inputs."""


@dataclass(frozen=True, order=True)
class ContextFile:
    """A file of the build context: its path, git's mode (`100644`, `100755`, `120000`) and git's blob id."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True)
class Capsule:
    """The content hash of an image's inputs, 64 hex digits: the same capsule is the same image.

    It covers the context's files, model and manifest, the base image's digest and the build settings, and
    nothing else: a README edit is no new capsule. `code` is the hash of what the test stage sees: the same
    inputs without model and manifest.
    """

    hash: str
    code: str = ""

    def tag_for(self, trust: Trust) -> str:
        """The tag in the registry of the image that was built of a commit of that level of trust."""
        return f"{trust.prefix}{self.hash}"

    @property
    def short(self) -> str:
        """Twelve digits: how a person names it."""
        return self.hash[:12]

    def __str__(self) -> str:
        return self.short


def capsule_of(tag: str) -> str | None:
    """The hash of the capsule whose image has that tag, at whatever level of trust; None for other tags."""
    found = IMAGE_TAG.fullmatch(tag)
    return found["capsule"] if found else None


def seal(
    files: Iterable[ContextFile],
    *,
    model_digest: str,
    manifest_digest: str,
    base_image: str,
    dockerfile: str,
    platform: str,
) -> Capsule:
    """The capsule of these inputs; the order of `files` does not matter, `base_image` is named by digest."""
    code = {
        "recipe": RECIPE,
        "files": [[file.path, file.mode, file.blob] for file in sorted(files)],
        "base": base_image,
        "dockerfile": dockerfile,
        "platform": platform,
    }
    return Capsule(_hash({**code, "model": model_digest, "manifest": manifest_digest}), _hash(code))


def _hash(inputs: Mapping[str, object]) -> str:
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()
