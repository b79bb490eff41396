"""Names of images: as a person requests one, and the digest that it is."""

import hashlib
import re
from dataclasses import dataclass

from flows.core.errors import PermanentError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""The distribution specification's rule for tags ("Pulling manifests")."""

RUN_TAG = re.compile(r"run-(?:[0-9a-f-]{36}|local-[0-9a-f]{12})")
"""What `tag_of_run` makes of the ids of flow runs and of runs by hand."""


def digest_of(content: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tag_of_run(run: str) -> str:
    """The tag on the engine of what a run builds, until it is pushed; each run has its own."""
    return f"run-{run}"


@dataclass(frozen=True)
class Image:
    """One image by content: `repository` with the registry's address, and the manifest's digest."""

    repository: str
    digest: str

    @property
    def short(self) -> str:
        """The digest as a person names it."""
        return self.digest[:19]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


def reference_of(wanted: str) -> str:
    """The requested image as the registry takes it: `latest`, a tag, a digest or a capsule.

    `PermanentError` where it is none of these. A capsule has the form of a tag.
    """
    wanted = wanted.strip()
    if DIGEST.fullmatch(wanted) or TAG.fullmatch(wanted):
        return wanted
    raise PermanentError(
        f"{wanted!r} names no image.", "Give latest, a tag, a capsule's hash, or a digest (sha256:...)."
    )


@dataclass(frozen=True)
class Reference:
    """An image's name taken apart: registry address, repository there, and tag or digest."""

    address: str
    repository: str
    reference: str

    @property
    def pinned(self) -> bool:
        """Whether it names content, by digest."""
        return self.reference.startswith("sha256:")

    def __str__(self) -> str:
        return f"{self.address}/{self.repository}{'@' if self.pinned else ':'}{self.reference}"


def familiar(name: Reference) -> str:
    """The repository as docker shows it: `python` for docker.io/library/python."""
    full = f"{name.address}/{name.repository}"
    return full.removeprefix("docker.io/").removeprefix("library/") if name.address == "docker.io" else full


def parse(name: str) -> Reference:
    """An image's name with the defaults that docker gives it: Docker Hub, `library/`, `:latest`."""
    rest, _, digest = name.partition("@")
    address, slash, path = rest.partition("/")
    if not slash or not ("." in address or ":" in address or address == "localhost"):
        address, path = "docker.io", rest
    path, _, tag = path.partition(":")
    if address == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return Reference(address, path, digest or tag or "latest")
