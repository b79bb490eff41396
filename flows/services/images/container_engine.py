"""The container engine: building images, pushing them, starting containers on behalf of a run."""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from flows.core.errors import CommandFailed, PermanentError
from flows.services.images.docker_cli import docker_command
from flows.services.images.docker_errors import (
    build_failure,
    engine_unavailable,
    push_failure,
    translated_engine_errors,
)
from flows.services.process.command import LAST_LINES, Command, Say, run
from flows.services.registry.auth import Credentials

RUN_LABEL = "dev.slipway.run"
"""On every container that a run starts, so that a clean-up finds them."""

BUILD_TIMEOUT = 1800
PUSH_TIMEOUT = 1800.0
CALL_TIMEOUT = 30


LAST_CHARACTERS = 20_000


@dataclass(frozen=True)
class Build:
    """One image to build: a stage of the Dockerfile in `context` (None: the last), and the tag it gets."""

    context: Path
    dockerfile: str
    tag: str
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def command(self, cli: tuple[str, ...], secrets: Mapping[str, Path], id_file: Path) -> tuple[str, ...]:
        """The command line; secrets are handed over as files, which enter no layer."""
        return (
            *cli,
            *("build", "--progress=plain", f"--file={self.context / self.dockerfile}", f"--tag={self.tag}"),
            *((f"--target={self.target}",) if self.target else ()),
            *(f"--build-arg={name}={value}" for name, value in self.arguments.items()),
            *(f"--label={name}={value}" for name, value in self.labels.items()),
            *(f"--secret=id={name},src={path}" for name, path in secrets.items()),
            f"--iidfile={id_file}",
            str(self.context),
        )


@dataclass(frozen=True)
class ContainerEngine:
    """The container engine at `base_url` (None: where the environment says), on behalf of flow run `run`.

    One push may take `push_timeout` seconds.
    """

    base_url: str | None
    run: str
    credentials: Credentials | None = None
    push_timeout: float = PUSH_TIMEOUT

    @property
    def client(self) -> docker.DockerClient:
        """A connection; `EngineUnavailable` without an answer."""
        try:
            if self.base_url:
                return docker.DockerClient(base_url=self.base_url, timeout=CALL_TIMEOUT)
            return docker.from_env(timeout=CALL_TIMEOUT)
        except DockerException as error:
            raise engine_unavailable(error) from error

    def build(self, build: Build, say: Say) -> str:
        """Build an image; its id. `BuildFailed` carries the builder's last lines."""
        with self._configuration() as folder:
            id_file = folder / "image-id"
            command = build.command(docker_command(), _secrets(), id_file)
            try:
                run(Command(command, BUILD_TIMEOUT, self._environment(folder)), say)
            except CommandFailed as failure:
                raise build_failure(failure, self.credentials) from failure
            return id_file.read_text()

    @translated_engine_errors()
    def tag(self, image: str, tag: str) -> None:
        """Let the tag name the image of that id."""
        repository, _, name = tag.rpartition(":")
        self.client.images.get(image).tag(repository, name)

    def push(self, tag: str, say: Say) -> None:
        """Push the image of that tag; only what the registry lacks moves, and the manifest goes last."""
        with self._configuration() as folder:
            command = Command((*docker_command(), "push", tag), self.push_timeout, self._environment(folder))
            try:
                run(command, say)
            except CommandFailed as failure:
                raise push_failure(failure, self.credentials) from failure

    @translated_engine_errors()
    def start(self, image: str, role: str, **options: Any) -> Container:
        """Start a container that is labelled with the run's id; the caller removes it.

        `options` are those of docker's SDK for `containers.run`.
        """
        name = f"slipway-{role}-{uuid4().hex[:12]}"
        labels = {RUN_LABEL: self.run}
        try:
            return self.client.containers.run(image, detach=True, name=name, labels=labels, **options)
        except APIError as error:
            raise PermanentError(
                f"The engine can't start a container of {image}: {error.explanation}"
            ) from error

    @translated_engine_errors()
    def remove_containers(self) -> None:
        """Remove every container of this run that is left, for example after a cancel."""
        for container in self.client.containers.list(
            all=True, filters={"label": f"{RUN_LABEL}={self.run}"}, ignore_removed=True
        ):
            with suppress(NotFound):
                container.remove(force=True, v=True)

    @contextmanager
    def _configuration(self) -> Iterator[Path]:
        """A private docker configuration with the registry's credentials, deleted afterwards."""
        with TemporaryDirectory(prefix="slipway-docker-") as name:
            folder = Path(name)
            auths = {}
            if self.credentials:
                pair = f"{self.credentials.username}:{self.credentials.password}".encode()
                auths[self.credentials.address] = {"auth": base64.b64encode(pair).decode()}
            file = folder / "config.json"
            file.touch(mode=0o600)
            file.write_text(json.dumps({"auths": auths}))
            plugins = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "cli-plugins"
            if plugins.is_dir():
                (folder / "cli-plugins").symlink_to(plugins)
            yield folder

    def _environment(self, configuration: Path) -> dict[str, str]:
        host = {"DOCKER_HOST": self.base_url} if self.base_url else {}
        # else newer engines push an index, with an entry beside the image's that is none
        plain = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        return {"DOCKER_CONFIG": str(configuration), "DOCKER_BUILDKIT": "1", **plain, **host}


def last_lines(container: Container) -> str:
    """The container's last 50 log lines, as far as they fit into 20,000 characters."""
    return str(container.logs(tail=LAST_LINES).decode(errors="replace")).rstrip()[-LAST_CHARACTERS:]


@contextmanager
def removed_at_the_end(container: Container) -> Iterator[Container]:
    """Remove the container whatever happens, with its anonymous volumes."""
    try:
        yield container
    finally:
        with suppress(NotFound):
            container.remove(force=True, v=True)


def _secrets() -> dict[str, Path]:
    """The machine's CA bundle, for builds behind a proxy that signs for the package index itself."""
    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    return {"ca_bundle": bundle} if bundle.exists() else {}
