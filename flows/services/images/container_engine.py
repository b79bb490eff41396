"""The container engine: building images, pushing them, starting containers on behalf of a run."""

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import LogConfig

from flows.core.errors import BuildFailed, CommandFailed, PermanentError
from flows.services.images.container_output import end_of
from flows.services.images.docker_cli import docker_command
from flows.services.images.docker_errors import (
    BASE,
    build_failure,
    engine_unavailable,
    pull_failure,
    push_failure,
    translated_engine_errors,
)
from flows.services.images.networks import internal_network, remove_networks, runs_with_networks
from flows.services.process.command import LAST_LINES, Command, Say, run
from flows.services.process.network import docker_proxies
from flows.services.process.temporary import temporary_folder
from flows.services.registry.auth import Credentials, Login, anonymous

RUN_LABEL = "dev.slipway.run"
"""On every container and network that a run makes, so that a clean-up finds them."""

BUILD_TIMEOUT = 1800
PUSH_TIMEOUT = 1800.0
CALL_TIMEOUT = 30
"""Seconds for a build or the pull of a base image, for a push, and for any other answer of the engine."""

LAST_CHARACTERS = 20_000

LOG = LogConfig(type=LogConfig.types.JSON, config={"max-size": "100m", "max-file": "2"})
"""What the engine keeps of a container's output. Of more, the middle is lost, unless a run has read it."""

PUSHED = re.compile(r"^\S+: digest: (sha256:[0-9a-f]{64}) size: \d+\s*$", re.MULTILINE)
"""The last line of `docker push`."""


@dataclass(frozen=True)
class Build:
    """One image to build: a stage of the Dockerfile (None: the last), and the tag it gets.

    `dockerfile` is a path in `context`, or one elsewhere in full.
    `platform` is as in `linux/amd64`; "": the engine's own.
    """

    context: Path
    dockerfile: str
    tag: str
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""

    def command(self, cli: tuple[str, ...], secrets: Mapping[str, Path], id_file: Path) -> tuple[str, ...]:
        """The command line; secrets are handed over as files, which enter no layer."""
        return (
            *cli,
            *("build", "--progress=plain", f"--file={self.context / self.dockerfile}", f"--tag={self.tag}"),
            *((f"--target={self.target}",) if self.target else ()),
            *((f"--platform={self.platform}",) if self.platform else ()),
            *(f"--build-arg={name}={value}" for name, value in self.arguments.items()),
            *(f"--label={name}={value}" for name, value in self.labels.items()),
            *(f"--secret=id={name},src={path}" for name, path in secrets.items()),
            f"--iidfile={id_file}",
            str(self.context),
        )


@dataclass(frozen=True)
class ContainerEngine:
    """The container engine at `base_url` (None: where the environment says), on behalf of flow run `run`.

    It signs in by `login` right before it pulls or pushes. One push may take `push_timeout` seconds.
    """

    base_url: str | None
    run: str
    login: Login = anonymous
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
        """Build an image, signed in nowhere; its id.

        `BuildFailed` carries the builder's last lines, or says that it is for another platform than was asked
        for.
        """
        with self._configuration(None) as folder:
            id_file = folder / "image-id"
            command = build.command(docker_command(), _secrets(), id_file)
            try:
                run(Command(command, BUILD_TIMEOUT, self._environment(folder)), say)
            except CommandFailed as failure:
                raise build_failure(failure) from failure
            image = id_file.read_text()
        if build.platform:
            self._require_platform(image, build.platform)
        return image

    def pull_base(self, image: str, platform: str, say: Say) -> None:
        """Have the engine hold the base image, which is named by digest: builds are not signed in to pull it.

        Errors as of a push; `BuildFailed` where the image is for another platform.
        """
        self.pull(image, platform, say, BASE)
        if (found := self._platform_of(image)) != platform:
            raise BuildFailed(
                f"The base image {image} is for {found}, but [app] platform is {platform}.",
                "Name one for that platform at [app] base_image.",
            )

    def pull(self, image: str, platform: str, say: Say, what: str = "The image") -> str:
        """Have the engine hold an image that is named by digest, as the platform's; its id.

        Errors as of a push; `ImageNotFound` where its registry does not hold it.
        """
        if self._platform_of(image) != platform:
            self._pull(image, platform, say, what)
        return self._id_of(image)

    def _pull(self, image: str, platform: str, say: Say, what: str) -> None:
        login = self.login()
        with self._configuration(login) as folder:
            arguments = (*docker_command(), "pull", "--quiet", f"--platform={platform}", image)
            try:
                run(Command(arguments, BUILD_TIMEOUT, self._environment(folder)), say)
            except CommandFailed as failure:
                raise pull_failure(failure, image, login, what) from failure

    @translated_engine_errors()
    def _id_of(self, image: str) -> str:
        return str(self.client.images.get(image).id)

    @translated_engine_errors()
    def _platform_of(self, image: str) -> str:
        """As `linux/amd64`; "" where the engine has no such image."""
        try:
            found = self.client.images.get(image).attrs
        except ImageNotFound:
            return ""
        return f"{found['Os']}/{found['Architecture']}"

    def _require_platform(self, image: str, platform: str) -> None:
        built_for = self._platform_of(image)
        if built_for != platform:
            raise BuildFailed(
                f"The image was built for {built_for}, but [app] platform is {platform}.",
                "Check that the base image has that platform, and that no FROM line names another.",
            )

    @translated_engine_errors()
    def tag(self, image: str, tag: str) -> None:
        """Let the tag name the image of that id."""
        repository, _, name = tag.rpartition(":")
        self.client.images.get(image).tag(repository, name)

    @translated_engine_errors()
    def untag(self, tag: str) -> None:
        """Remove the tag, and the image with its last tag; nothing happens while a container uses it."""
        with suppress(ImageNotFound):
            try:
                self.client.images.remove(tag)
            except APIError as answer:
                if answer.status_code != HTTPStatus.CONFLICT:
                    raise

    def push(self, tag: str, say: Say) -> str:
        """Push the image of that tag, and return the digest that the engine says it has in the registry.

        Only what the registry lacks moves, and the manifest goes last.
        """
        login = self.login()
        with self._configuration(login) as folder:
            command = Command((*docker_command(), "push", tag), self.push_timeout, self._environment(folder))
            try:
                written = run(command, say)
            except CommandFailed as failure:
                raise push_failure(failure, tag, login) from failure
        if not (found := PUSHED.findall(written)):
            raise PermanentError(f"The engine pushed {tag} and named no digest.", "Use docker as the engine.")
        return str(found[-1])

    @translated_engine_errors()
    def start(self, image: str, role: str, **options: Any) -> Container:
        """Start a container that is labelled with the run's id; the caller removes it.

        `options` are those of docker's SDK for `containers.run`.
        """
        name = f"slipway-{role}-{uuid4().hex[:12]}"
        labels = {RUN_LABEL: self.run}
        try:
            return self.client.containers.run(
                image, detach=True, name=name, labels=labels, log_config=LOG, **options
            )
        except APIError as error:
            raise PermanentError(
                f"The engine can't start a container of {image}: {error.explanation}."
            ) from error

    @translated_engine_errors()
    def remove_containers(self, run: str | None = None) -> int:
        """Remove the containers and networks that are left of a run, as after a cancel.

        `run` is its id; None: this run. The number of containers.
        """
        run = run or self.run
        left = self.client.containers.list(
            all=True, filters={"label": f"{RUN_LABEL}={run}"}, ignore_removed=True
        )
        for container in left:
            with suppress(NotFound):
                container.remove(force=True, v=True)
        remove_networks(self.client, RUN_LABEL, run)
        return len(left)

    @translated_engine_errors()
    def runs_with_containers(self) -> set[str]:
        """The ids of the other runs that have containers or networks on this engine."""
        found = self.client.containers.list(all=True, filters={"label": RUN_LABEL}, ignore_removed=True)
        with_containers = {container.labels[RUN_LABEL] for container in found}
        return (with_containers | runs_with_networks(self.client, RUN_LABEL)) - {self.run}

    def network(self, role: str) -> AbstractContextManager[Network]:
        """A network without a way out, of this run, removed at the end."""
        return internal_network(self.client, role, RUN_LABEL, self.run)

    @contextmanager
    def _configuration(self, login: Credentials | None) -> Iterator[Path]:
        """A private docker configuration with these credentials and no others, deleted afterwards."""
        with temporary_folder("docker") as folder:
            auths = {}
            if login:
                pair = f"{login.username}:{login.password}".encode()
                auths[login.address] = {"auth": base64.b64encode(pair).decode()}
            file = folder / "config.json"
            file.touch(mode=0o600)
            file.write_text(json.dumps({"auths": auths, "proxies": docker_proxies(os.environ)}))
            plugins = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker")) / "cli-plugins"
            if plugins.is_dir():
                (folder / "cli-plugins").symlink_to(plugins)
            yield folder

    def _environment(self, configuration: Path) -> dict[str, str]:
        host = {"DOCKER_HOST": self.base_url} if self.base_url else {}
        # else newer engines push an index with an attestation beside the image
        plain = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        return {"DOCKER_CONFIG": str(configuration), "DOCKER_BUILDKIT": "1", **plain, **host}


def last_lines(container: Container) -> str:
    """The container's last 50 log lines, as far as they fit into 20,000 characters."""
    chunks = container.logs(tail=LAST_LINES, stream=True, follow=False)
    return end_of(chunks, 4 * LAST_CHARACTERS).decode(errors="replace").rstrip()[-LAST_CHARACTERS:]


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
