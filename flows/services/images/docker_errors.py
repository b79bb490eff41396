"""Why the container engine failed, by whose move it is: docker's last line says so, or its SDK's error."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from docker.errors import APIError
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from flows.core.errors import (
    BuildFailed,
    CommandFailed,
    EngineUnavailable,
    PermanentError,
    RegistryUnavailable,
    SlipwayError,
)
from flows.services.registry.auth import Credentials
from flows.services.registry.client import credentials_refused

NO_DAEMON = re.compile(r"connect to the Docker daemon", re.IGNORECASE)
OWN_COMMAND = re.compile(r"executor failed running|did not complete successfully")
"""A RUN of the Dockerfile failed: the line quotes it, and what it quotes says nothing of any registry."""

REFUSED = re.compile(r"\b40[13]\b|unauthorized|denied|authentication required|no basic auth", re.IGNORECASE)
PASSING = re.compile(
    r"\b(429|5\d\d)\b|toomanyrequests|connection (refused|reset)|broken pipe|EOF|timeout|deadline exceeded"
    r"|no such host|internal server error|unavailable",
    re.IGNORECASE,
)
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


def build_failure(failure: CommandFailed, credentials: Credentials | None) -> SlipwayError:
    """Why an image could not be built; of what goes over a network only the base image is pulled."""
    return _explained(failure, credentials, "The image could not be built.", BuildFailed)


def push_failure(failure: CommandFailed, credentials: Credentials | None) -> SlipwayError:
    """Why an image could not be pushed."""
    if failure.timed_out:
        return RegistryUnavailable(f"The image could not be pushed: it {failure.happened.partition(' ')[2]}")
    return _explained(failure, credentials, "The image could not be pushed.", PermanentError)


def _explained(
    failure: CommandFailed, credentials: Credentials | None, happened: str, kind: type[SlipwayError]
) -> SlipwayError:
    said = failure.details.strip()
    last = said.splitlines()[-1] if said else failure.happened
    if NO_DAEMON.search(last):
        return engine_unavailable(last)
    if failure.timed_out or OWN_COMMAND.search(last):
        return kind(happened, last, details=said)
    if credentials and REFUSED.search(last):
        return credentials_refused(credentials.address)
    if PASSING.search(last):
        return RegistryUnavailable(f"{happened} {last}", details=said)
    return kind(happened, last, details=said)


def engine_unavailable(error: object) -> EngineUnavailable:
    """The same words for an error of the SDK and of the command."""
    return EngineUnavailable(
        f"The container engine does not answer: {error}.", "Start it, or correct the DockerHost block."
    )
