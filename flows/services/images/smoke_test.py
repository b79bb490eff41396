"""Try an image out before it gets its tag: it starts, returns its identity, answers, and stops on SIGTERM."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from docker.errors import APIError
from docker.models.containers import Container
from docker.models.networks import Network

from flows.core.build.capsule import Capsule
from flows.core.errors import PermanentError, ProofFailed, SlipwayError, TrialFailed
from flows.core.model.manifest import ModelManifest
from flows.core.text import last_words
from flows.services.images.container_engine import ContainerEngine, last_lines, removed_at_the_end
from flows.services.images.docker_errors import translated_engine_errors
from flows.services.images.networks import NO_NAMES
from flows.services.images.sandbox import MEMORY, Sandbox
from flows.services.process.command import Say
from flows.services.process.poll import Waiting, poll
from flows.services.verification import probe
from flows.services.verification.public_endpoint import CONNECT, PublicEndpoint

POLL = 0.1


@dataclass(frozen=True)
class Limits:
    """The port that the app listens on, and the seconds that its start and its stop may take.

    `memory` is what all of it may take, in megabytes; `probe_port` is where it says that it is ready, if that
    is another port.
    """

    port: int
    ready: float
    stop: float
    memory: int = MEMORY
    probe_port: int | None = None

    @property
    def probed_at(self) -> int:
        """Where it says that it is ready."""
        return self.probe_port or self.port


@dataclass(frozen=True)
class Expected:
    """What the image must say of itself, and answer."""

    capsule: Capsule
    manifest: ModelManifest


@dataclass(frozen=True)
class Trial:
    """What was seen: seconds until ready, examples answered, seconds from SIGTERM to exit."""

    ready_after: float
    examples: int
    stopped_after: float


@translated_engine_errors()
def smoke_test(engine: ContainerEngine, image: str, expected: Expected, limits: Limits, say: Say) -> Trial:
    """Run the image as the cluster will: not root, read-only root, no capabilities, with limits.

    It is asked at its address in a network of its own, which leads nowhere else. `TrialFailed` says what it
    did wrong, with its last 50 log lines; `PermanentError` where its address can't be reached from this
    machine. Container and network are gone afterwards. `EngineUnavailable` where the engine breaks off.
    """
    with (
        engine.network("trial") as network,
        removed_at_the_end(_started(engine, image, network, limits, "trial")) as container,
    ):
        say(f"Started the container of the trial, {container.name}.")
        try:
            address = _address(container, network)
            ready_after = _until_ready(container, address, limits)
            say(f"Ready after {ready_after:.1f} s.")
            edge = _endpoint(address, limits.port)
            _check_version(edge, expected)
            examples = probe.check_examples(edge, expected.manifest)
            say(f"Answered the model's {examples} examples within their tolerance.")
        except ProofFailed as failure:
            raise _failed(failure.happened, container) from failure
        stopped_after = _stop(container, limits.stop)
        say(f"Stopped {stopped_after:.1f} s after SIGTERM.")
    return Trial(ready_after, examples, stopped_after)


@dataclass(frozen=True)
class Serving:
    """A container that is ready, and where it is asked."""

    endpoint: PublicEndpoint
    _container: Container

    def failed(self, happened: str, remedy: str) -> TrialFailed:
        """The error of what it did wrong, with the end of its log."""
        log = last_lines(self._container)
        return TrialFailed(happened + last_words(log), remedy, details=log)


@contextmanager
def serving(engine: ContainerEngine, image: str, limits: Limits, role: str) -> Iterator[Serving]:
    """A container of the image, ready, alone in a network of its own, for as long as the context lasts.

    It may do what the trial's may. Errors as of `smoke_test`.
    """
    with (
        translated_engine_errors(),
        engine.network(role) as network,
        removed_at_the_end(_started(engine, image, network, limits, role)) as container,
    ):
        address = _address(container, network)
        _until_ready(container, address, limits)
        yield Serving(_endpoint(address, limits.port), container)


def _started(engine: ContainerEngine, image: str, network: Network, limits: Limits, role: str) -> Container:
    options = Sandbox(network=True, memory=limits.memory).options()
    return engine.start(image, role, network=network.name, **NO_NAMES, **options)


def _address(container: Container, network: Network) -> str:
    """The container's in the network; "" where it has ended already."""
    container.reload()
    return str(container.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"])


def _endpoint(address: str, port: int) -> PublicEndpoint:
    return PublicEndpoint(f"http://{address}:{port}")


def _until_ready(container: Container, address: str, limits: Limits) -> float:
    started = time.monotonic()
    reached = False

    def look() -> float | Waiting:
        nonlocal reached
        container.reload()
        if container.status == "exited":
            code = container.attrs["State"]["ExitCode"]
            raise _failed_with_words(f"The container ended by itself, with exit code {code}.", container)
        reached = reached or _is_reached(address, limits.probed_at)
        is_ready = reached and probe.is_ready(_endpoint(address, limits.probed_at))
        return time.monotonic() - started if is_ready else Waiting()

    def late(_: str) -> SlipwayError:
        if not reached:
            return _out_of_reach(address)
        return _failed_with_words(f"The container was not ready within {limits.ready:.0f} s.", container)

    return poll(look, timeout=limits.ready, pause=POLL, late=late)


def _is_reached(address: str, port: int) -> bool:
    """Whether the container answers at all: that none listens on the port yet is an answer."""
    try:
        socket.create_connection((address, port), timeout=CONNECT).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def _out_of_reach(address: str) -> PermanentError:
    return PermanentError(
        f"The container of the trial can't be reached at {address} from this machine.",
        "Run the worker on the Linux machine of a container engine that is not rootless, and allow "
        "connections to docker's bridges in its firewall.",
    )


def _check_version(edge: PublicEndpoint, expected: Expected) -> None:
    said = probe.version(edge)
    if said.capsule != expected.capsule.hash:
        raise ProofFailed(f"/version says capsule {said.capsule!r}, but {expected.capsule.hash!r} was built.")
    if said.model_digest != expected.manifest.digest:
        raise ProofFailed(
            f"/version says model {said.model_digest}, but {expected.manifest.digest} was packed."
        )


def _stop(container: Container, limit: float) -> float:
    started = time.monotonic()
    try:
        container.kill("SIGTERM")
        code = container.wait(timeout=limit)["StatusCode"]
    except APIError as answer:
        raise _failed(
            f"The container did not take the stop signal: {answer.explanation}.", container
        ) from answer
    except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError) as error:
        if time.monotonic() - started < limit:  # the same error, but it is the connection that broke
            raise
        raise _failed(f"The container did not stop within {limit:.0f} s of SIGTERM.", container) from error
    if code != 0:
        happened = f"After SIGTERM, the container ended with exit code {code} instead of 0."
        raise _failed_with_words(happened, container)
    return time.monotonic() - started


def _failed_with_words(happened: str, container: Container) -> TrialFailed:
    """The same with the end of its log, which says why."""
    return _failed(happened + last_words(last_lines(container)), container)


def _failed(happened: str, container: Container) -> TrialFailed:
    return TrialFailed(
        happened,
        "Fix application or model, then commit or publish. No image got the capsule's tag.",
        details=last_lines(container),
    )
