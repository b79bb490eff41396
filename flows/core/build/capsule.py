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

CODE, MODEL = "code-", "model-"
"""How the tags of halves begin."""

VERSION = "org.opencontainers.image.version"
CODE_HALF, MODEL_HALF = "dev.slipway.code", "dev.slipway.model-half"
"""Labels of an image: the hashes of its capsule and of both halves."""

HALF_TAG = re.compile(rf"(?:{Trust.BRANCH.prefix})?(?P<half>(?:{CODE}|{MODEL})[0-9a-f]{{64}})")
"""A tag of a half in the registry. A model's half has one tag at every level of trust: no commit is in it."""

RECIPE = 3
"""Raise it when a change to how images are built gives another image for the same inputs."""

LAYER_RECIPE = 1
"""Raise it when a change to how a model's layer is made gives another layer for the same model."""


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
    nothing else: a README edit is no new capsule. It is made of two hashes. `code` covers what the test stage
    sees, `model` the model, its manifest and its place in the image.
    """

    hash: str
    code: str = ""
    model: str = ""

    def tag_for(self, trust: Trust) -> str:
        """The tag in the registry of the image that was built of a commit of that level of trust."""
        return f"{trust.prefix}{self.hash}"

    @property
    def labels(self) -> dict[str, str]:
        """The labels of an image that name its capsule and both halves."""
        return {VERSION: self.hash, CODE_HALF: self.code, MODEL_HALF: self.model}

    def code_tag(self, trust: Trust) -> str:
        """The tag of the code half that was built of a commit of that level of trust."""
        return f"{trust.prefix}{CODE}{self.code}"

    @property
    def model_tag(self) -> str:
        """The tag of the model half."""
        return f"{MODEL}{self.model}"

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


def half_of(tag: str) -> str | None:
    """The half that has that tag, without its level of trust: `code-` or `model-` and a hash; None for other
    tags."""
    found = HALF_TAG.fullmatch(tag)
    return found["half"] if found else None


def halves_of(labels: Mapping[str, str]) -> frozenset[str]:
    """The tags, without their level of trust, of the halves that an image's labels name."""
    named = ((CODE, labels.get(CODE_HALF)), (MODEL, labels.get(MODEL_HALF)))
    return frozenset(f"{kind}{half}" for kind, half in named if half)


def seal(
    files: Iterable[ContextFile],
    *,
    model_digest: str,
    manifest_digest: str,
    base_image: str,
    dockerfile: str,
    platform: str,
    model_path: str = "",
) -> Capsule:
    """The capsule of these inputs; the order of `files` does not matter, `base_image` is named by digest.

    `model_path` is where Slipway puts the model, "" where the Dockerfile copies it.
    """
    code = _hash(
        {
            "recipe": RECIPE,
            "files": [[file.path, file.mode, file.blob] for file in sorted(files)],
            "base": base_image,
            "dockerfile": dockerfile,
            "platform": platform,
            "model_path": model_path,
        }
    )
    model = _hash(
        {
            "recipe": LAYER_RECIPE,
            "model": model_digest,
            "manifest": manifest_digest,
            "model_path": model_path,
        }
    )
    return Capsule(_hash({"code": code, "model": model}), code, model)


def _hash(inputs: Mapping[str, object]) -> str:
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()
