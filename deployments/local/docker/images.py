"""The images that the platform's containers run, built on this machine.

An image's tag is a hash of its recipe: an unchanged image is reused, a changed one is built again.
"""

import hashlib
import json
import re
from http.client import CONFLICT, NOT_FOUND
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import docker
from docker.errors import APIError, ImageNotFound

from deployments.local.progress import Say
from flows.core.errors import CommandFailed, PlatformFailed
from flows.services.images.container_engine import Build, ContainerEngine
from flows.services.process.command import Command, run

BASE = "base"
NODE = "node"
REGISTRY = "registry"
AZURITE = "azurite"
DATABASE = "database"
EDGE = "edge"
DNS = "dns"

RECIPES = Path(__file__).parent / "containers"
REPOSITORY = "slipway-platform"
LABEL = "slipway.platform"
"""On the base, and so on all that is built from it, the application's images among them."""

BASE_TIMEOUT = 900.0
BASE_COMMAND = (
    *("mmdebstrap", "--variant=minbase"),
    "--include=python3,python3-pip,python3-venv,ca-certificates",
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "locale", "man")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "bookworm",
)
"""Debian 12 from its packages, which needs no registry of images; without documentation and locales."""

_base_lock = Lock()


def ensure(client: docker.DockerClient, role: str, say: Say) -> str:
    """The image of that role as name:tag; `PlatformFailed` or `BuildFailed` carry the builder's last lines.

    Call it side by side for several roles: the base is built once.
    """
    if role == BASE:
        with _base_lock:
            return _ensure_base(client, say)
    base = ensure(client, BASE, say)
    recipe = RECIPES / role
    image = _image(role, base, *(f"{file.name}\0{file.read_text()}" for file in sorted(recipe.iterdir())))
    if not _is_there(client, image):
        build = Build(recipe, "Dockerfile", tag=image, arguments={"BASE_IMAGE": base})
        ContainerEngine(base_url=None, run=role).build(build, lambda line: _say_step(line, say))
    return image


def remove_all(client: docker.DockerClient) -> None:
    """Remove every image of the platform and every one built from its base, but for those in use."""
    for image in client.images.list(filters={"label": f"{LABEL}=true"}):
        _remove(client, str(image.id))


def remove_named(client: docker.DockerClient, address: str) -> None:
    """Remove the images that were built to be pushed to the registry at `address`."""
    for image in client.images.list(name=f"{address}/*/*"):
        for tag in image.tags:
            if tag.startswith(f"{address}/"):
                _remove(client, tag)


def _remove(client: docker.DockerClient, image: str) -> None:
    try:
        client.images.remove(image, force=True)
    except APIError as error:
        if error.status_code not in {CONFLICT, NOT_FOUND}:
            raise


def _ensure_base(client: docker.DockerClient, say: Say) -> str:
    image = _image(BASE, *BASE_COMMAND)
    if _is_there(client, image):
        return image
    say("Debian 12 from its packages")
    with TemporaryDirectory(prefix="slipway-base-") as folder:
        archive = Path(folder) / "base.tar"
        try:
            run(Command((*BASE_COMMAND, str(archive)), BASE_TIMEOUT), say, output=lambda line: say(line[3:]))
        except CommandFailed as failure:
            raise PlatformFailed(
                "The base image could not be made.",
                f"Run this as root, or install the package uidmap. {failure.remedy}",
            ) from failure
        repository, tag = image.split(":")
        client.api.import_image_from_file(str(archive), repository, tag, changes=[f"LABEL {LABEL}=true"])
    return image


def _image(role: str, *recipe: str) -> str:
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
    return f"{REPOSITORY}/{role}:{digest[:12]}"


def _is_there(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def _say_step(line: str, say: Say) -> None:
    """The current instruction, from BuildKit's output."""
    if step := re.match(r"#\d+ \[(?!internal)[^]]+] (.+)", line):
        say(" ".join(word for word in step[1].split() if not word.startswith("--")))
