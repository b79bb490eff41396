"""Try an image out before it is pushed: it starts, returns its identity, answers, and stops on SIGTERM."""

import time
from dataclasses import dataclass

import requests
from docker.errors import APIError
from docker.models.containers import Container

from flows.core.build.capsule import Capsule
from flows.core.errors import ProofFailed, TrialFailed
from flows.core.model.manifest import ModelManifest
from flows.services.images.container_engine import ContainerEngine, last_lines, removed_at_the_end
from flows.services.images.docker_errors import translated_engine_errors
from flows.services.images.sandbox import MEMORY, Sandbox
from flows.services.process.command import Say
from flows.services.process.poll import Waiting, poll
from flows.services.verification import probe
from flows.services.verification.public_endpoint import PublicEndpoint

POLL = 0.1


@dataclass(frozen=True)
class Limits:
    """The port that the app listens on, and the seconds that its start and its stop may take.

    `memory` is what all of it may take, in megabytes.
    """

    port: int
    ready: float
    stop: float
    memory: int = MEMORY


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

    `TrialFailed` says what it did wrong, with its last 50 log lines. The container is gone afterwards.
    `EngineUnavailable` where the engine breaks off.
    """
    container = engine.start(
        image,
        "trial",
        ports={f"{limits.port}/tcp": ("127.0.0.1", None)},
        **Sandbox(network=True, memory=limits.memory).options(),
    )
    with removed_at_the_end(container):
        say(f"Started the container of the trial, {container.name}.")
        try:
            ready_after = _until_ready(container, limits)
            say(f"Ready after {ready_after:.1f} s.")
            edge = PublicEndpoint(_url(container, limits.port))
            _check_version(edge, expected)
            examples = probe.check_examples(edge, expected.manifest)
            say(f"Answered the model's {examples} examples within their tolerance.")
        except ProofFailed as failure:
            raise _failed(failure.happened, container) from failure
        stopped_after = _stop(container, limits.stop)
        say(f"Stopped {stopped_after:.1f} s after SIGTERM.")
    return Trial(ready_after, examples, stopped_after)


def _url(container: Container, port: int) -> str:
    container.reload()
    bound = container.ports.get(f"{port}/tcp")
    return f"http://127.0.0.1:{bound[0]['HostPort']}" if bound else ""


def _until_ready(container: Container, limits: Limits) -> float:
    started = time.monotonic()

    def look() -> float | Waiting:
        url = _url(container, limits.port)
        if container.status == "exited":
            code = container.attrs["State"]["ExitCode"]
            raise _failed(f"The container ended by itself, with exit code {code}.", container)
        is_ready = url and probe.is_ready(PublicEndpoint(url))
        return time.monotonic() - started if is_ready else Waiting()

    def late(_: str) -> TrialFailed:
        return _failed(f"The container was not ready within {limits.ready:.0f} s.", container)

    return poll(look, timeout=limits.ready, pause=POLL, late=late)


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
        raise _failed(f"After SIGTERM, the container ended with exit code {code} instead of 0.", container)
    return time.monotonic() - started


def _failed(happened: str, container: Container) -> TrialFailed:
    return TrialFailed(
        happened, "Fix the application, then commit. No image was pushed.", details=last_lines(container)
    )
