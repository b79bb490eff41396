"""Why the container engine failed, by whose move it is: docker's last line says so, or its SDK's error."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

from docker.errors import APIError
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from flows.core.build.image import parse
from flows.core.errors import (
    BuildFailed,
    CommandFailed,
    EngineUnavailable,
    ImageNotFound,
    PermanentError,
    RegistryUnavailable,
    SlipwayError,
)
from flows.core.text import last_words
from flows.services.registry import refusals
from flows.services.registry.auth import Credentials
from flows.services.registry.refusals import Place

NO_DAEMON = re.compile(r"connect to the Docker daemon", re.IGNORECASE)
OWN_COMMAND = re.compile(r"executor failed running|did not complete successfully")
"""A RUN of the Dockerfile failed: the line quotes it, and what it quotes says nothing of any registry."""

OUTPUT = re.compile(r"#(\d+) \d+\.\d+ (.*\S)")
"""A line of a command, with the number of its step and the seconds since the step began."""

FAILED_STEP = re.compile(r"^#(\d+) ERROR", re.MULTILINE)

ERROR = re.compile(r"\b(error|fatal|failed|not found|no such|denied|cannot|unable)\b", re.IGNORECASE)
QUOTED = 300
"""Characters of such a line in a message."""

REFUSED = re.compile(r"\b40[13]\b|unauthorized|denied|authentication required|no basic auth", re.IGNORECASE)
LAYER = re.compile(r"^[0-9a-f]{12}: \w")
"""A line about the progress of one layer."""

UNKNOWN = re.compile(r"manifest unknown|no such manifest", re.IGNORECASE)
PASSING = re.compile(
    r"\b(429|5\d\d)\b|toomanyrequests|connection (refused|reset)|broken pipe|EOF|timeout|deadline exceeded"
    r"|no such host|internal server error|unavailable|blob (upload )?unknown",
    re.IGNORECASE,
)
"""A blob is unknown where the registry's garbage collection deleted a layer that was just pushed."""

BROKEN_OFF = (RequestException, HTTPError, ConnectionError, TimeoutError)
"""A connection lost in the middle of an SDK's call: which of them depends on how far the answer had come."""


@contextmanager
def translated_engine_errors() -> Iterator[None]:
    """Around docker's SDK: `EngineUnavailable` where the line broke, `PermanentError` where it refused."""
    try:
        yield
    except APIError as answer:  # of requests' kind too, but the engine did answer
        raise PermanentError(f"The container engine refused: {answer.explanation}.") from answer
    except BROKEN_OFF as error:
        raise engine_unavailable(error) from error


def build_failure(failure: CommandFailed) -> SlipwayError:
    """Why an image could not be built; the build itself is signed in nowhere."""
    said = failure.details.strip().splitlines()
    if said and REFUSED.search(said[-1]) and not OWN_COMMAND.search(said[-1]):
        return BuildFailed(
            f"The image could not be built, as a registry refuses an image: {said[-1]}.",
            "Use public images beside the base image: builds are signed in to no registry.",
            details=failure.details.strip(),
        )
    return _explained(failure, "The image could not be built", BuildFailed)


BASE = "The base image"


def pull_failure(
    failure: CommandFailed, image: str, credentials: Credentials | None, what: str = BASE
) -> SlipwayError:
    """Why an image could not be pulled, by default the base image; `what` it is begins the message."""
    happened = f"{what} could not be pulled"
    if UNKNOWN.search(failure.details):
        return ImageNotFound(
            f"{happened}: its registry holds no {image}.",
            "Push it again, or name another one at [app] base_image."
            if what == BASE
            else "Start the run again.",
            details=failure.details.strip(),
        )
    place = _place(image, credentials)
    return _from_registry(failure, place, refusals.PULL) or _explained(failure, happened, PermanentError)


def push_failure(failure: CommandFailed, image: str, credentials: Credentials | None) -> SlipwayError:
    """Why an image could not be pushed."""
    if failure.timed_out:
        return RegistryUnavailable(f"The image could not be pushed: it {failure.happened.partition(' ')[2]}")
    place = _place(image, credentials)
    refusal = _from_registry(failure, place, refusals.PUSH)
    return refusal or _explained(failure, "The image could not be pushed", PermanentError)


def _place(image: str, credentials: Credentials | None) -> Place:
    name = parse(image)
    if credentials and credentials.address == name.address:
        return Place(name.address, name.repository, credentials.how_to_correct)
    return Place(
        name.address, name.repository, "Use an image that everyone may read, or one in [registry] address."
    )


def _from_registry(failure: CommandFailed, place: Place, action: str) -> SlipwayError | None:
    """The error where docker's last line says that the registry refuses; None for any other failure."""
    last = _last_line(failure.details)
    if failure.timed_out or not last or NO_DAEMON.search(last):
        return None
    said = shorten(last, QUOTED, placeholder=" …")
    if known := refusals.of_words(place, said):
        return known
    if refusals.NO_RIGHT.search(last):
        return refusals.no_right(place, action, None, said)
    return refusals.refused(place, said) if REFUSED.search(last) else None


def _explained(failure: CommandFailed, happened: str, kind: type[SlipwayError]) -> SlipwayError:
    said = failure.details.strip()
    last = _last_line(said) or failure.happened
    if NO_DAEMON.search(last):
        return engine_unavailable(last)
    if failure.timed_out:
        return kind(f"{happened}: {failure.happened}{last_words(said)}", details=said)
    if OWN_COMMAND.search(last):
        words = shorten(_own_words(said) or last, QUOTED, placeholder=" …")
        return kind(f"{happened}: {words}.", details=said)
    if PASSING.search(last):
        return RegistryUnavailable(f"{happened}: {last}.", details=said)
    return kind(f"{happened}: {last}.", details=said)


def _last_line(said: str) -> str:
    """What docker said last. Its errors may come before the progress of layers, which has another way."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not LAYER.match(line)), lines[-1] if lines else "")


def _own_words(said: str) -> str:
    """What the command of the RUN that failed said itself: the last line that names an error, else the last
    one; "" where the builder shows none."""
    failed = FAILED_STEP.search(said)
    output = [match for line in said.splitlines() if (match := OUTPUT.match(line))]
    lines = [line[2].strip() for line in output if failed is None or line[1] == failed[1]]
    return next((line for line in reversed(lines) if ERROR.search(line)), lines[-1] if lines else "")


def engine_unavailable(error: object) -> EngineUnavailable:
    """The error of an engine that is away, whether the SDK says so or the command."""
    return EngineUnavailable(
        f"The container engine does not answer: {error}.", "Start it, or correct the DockerHost block."
    )
