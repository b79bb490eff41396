"""Running an image's test stage as a container, and getting its report whatever becomes of it."""

import base64
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from docker.models.containers import Container
from requests.exceptions import RequestException

from flows.core.build.test_results import TestsFailed
from flows.services.images.container_engine import (
    CALL_TIMEOUT,
    ContainerEngine,
    last_lines,
    removed_at_the_end,
)
from flows.services.images.container_output import follow
from flows.services.images.docker_errors import translated_engine_errors
from flows.services.images.sandbox import Sandbox
from flows.services.process.command import Say

__test__ = False

REPORT = "/reports/junit.xml"
REPORT_LIMIT = 20 << 20
"""Bytes of a report that are read at most."""

NO_FILE = 1 << 31 | 1 << 27 | 1 << 26 | 1 << 25 | 1 << 24
"""Of Go's file modes, those of a folder, a link, a device, a pipe and a socket (io/fs, "FileMode")."""

NOTHING_MORE = Sandbox()


@dataclass(frozen=True)
class TestRun:
    """What a test stage left: exit status (None: it took too long), JUnit report if any, last lines."""

    status: int | None
    report: bytes | None
    log: str


@translated_engine_errors()
def run(
    engine: ContainerEngine,
    image: str,
    timeout: float,
    say: Say,
    *,
    sandbox: Sandbox = NOTHING_MORE,
    output: Path | None = None,
) -> TestRun:
    """Run the test stage and copy its report out, whatever its exit status; `timeout` in seconds.

    What it writes is kept in `output`, too. `TestsFailed` where it leaves something else than a report;
    `EngineUnavailable` where the engine breaks off.
    """
    confined = replace(sandbox, writable=(str(Path(REPORT).parent), *sandbox.writable))
    with removed_at_the_end(engine.start(image, "tests", **confined.options())) as container:
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            with suppress(RequestException):  # ended already; or the engine is away, which the reader notices
                container.kill()

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            follow(_output(container), say, expired.is_set, output)
            status = container.wait(timeout=CALL_TIMEOUT)["StatusCode"]
        finally:
            timer.cancel()
        return TestRun(None if expired.is_set() else status, _report(container), last_lines(container))


def _output(container: Container) -> Iterator[bytes]:
    """All that it writes, as it comes, until it ends: the engine may end the stream before its last part."""
    received = 0
    for chunk in container.logs(stream=True, follow=True):
        received += len(chunk)
        yield chunk
    for chunk in container.logs(stream=True, follow=False):
        yield chunk[received:]
        received = max(received - len(chunk), 0)


def _report(container: Container) -> bytes | None:
    """The report's content; `TestsFailed` where it is no file or too large, of which nothing is read."""
    stat = _stat(container)
    if stat is None:
        return None
    if stat["mode"] & NO_FILE:
        raise _unreadable("is no file")
    if stat["size"] > REPORT_LIMIT:
        raise _unreadable(f"has {stat['size']} bytes; at most {REPORT_LIMIT} are read")
    chunks, _ = container.get_archive(REPORT)
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            content = tar.extractfile(tar.getmembers()[0])
            return content.read() if content else None
    except tarfile.TarError as error:
        raise _unreadable(f"can't be read: {error}") from error


def _stat(container: Container) -> dict[str, Any] | None:
    """What the engine says of the report without sending it; None where there is none."""
    assert container.client, "it was started by a client"
    api = container.client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{container.id}/archive"
    answer = api.head(url, params={"path": REPORT}, timeout=CALL_TIMEOUT)
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return None
    answer.raise_for_status()
    found: dict[str, Any] = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    return found


def _unreadable(why: str) -> TestsFailed:
    return TestsFailed(f"The test stage's {REPORT} {why}.", "Have the tests write JUnit XML there.")
