"""What goes into one image, or its test stage, as one content hash."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

ATTACHED = ".model"
"""What the tag of an image's model manifest ends in; releases read it there and need no model store."""

RECIPE = 2
"""Raised when the way an image is built changes so that the same inputs give another image."""


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
    nothing else: a README edit is no new capsule.
    """

    hash: str

    @property
    def tag(self) -> str:
        """The image's tag in the registry."""
        return self.hash

    @property
    def short(self) -> str:
        """Twelve digits: how a person names it."""
        return self.hash[:12]

    def __str__(self) -> str:
        return self.short


def seal(
    files: Iterable[ContextFile],
    *,
    model_digest: str,
    manifest_digest: str,
    base_image: str,
    dockerfile: str,
    platform: str = "linux/amd64",
) -> Capsule:
    """The capsule of these inputs; the order of `files` does not matter, `base_image` is named by digest."""
    inputs = {
        "recipe": RECIPE,
        "files": [[file.path, file.mode, file.blob] for file in sorted(files)],
        "model": model_digest,
        "manifest": manifest_digest,
        "base": base_image,
        "dockerfile": dockerfile,
        "platform": platform,
    }
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()
    return Capsule(hashlib.sha256(canonical).hexdigest())
