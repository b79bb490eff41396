"""Running an image's test stage as a container, and getting its report whatever becomes of it."""

import io
import tarfile
import threading
from contextlib import suppress
from dataclasses import dataclass

from docker.errors import NotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from flows.services.images.container_engine import (
    CALL_TIMEOUT,
    ContainerEngine,
    last_lines,
    removed_at_the_end,
)
from flows.services.images.docker_errors import translated_engine_errors
from flows.services.process.command import Say

__test__ = False

REPORT = "/reports/junit.xml"


@dataclass(frozen=True)
class TestRun:
    """What a test stage left: exit status (None: ended by the time-out), JUnit report if any, last lines."""

    status: int | None
    report: str | None
    log: str


@translated_engine_errors()
def run(engine: ContainerEngine, image: str, timeout: float, say: Say) -> TestRun:
    """Run the test stage and copy its report out, whatever its exit status; `timeout` in seconds.

    `EngineUnavailable` where the engine breaks off.
    """
    with removed_at_the_end(engine.start(image, "tests")) as container:
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            with suppress(RequestException):  # ended already; or the engine is away, which the reader notices
                container.kill()

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            for line in container.logs(stream=True, follow=True):
                say(line.decode(errors="replace").rstrip())
            status = container.wait(timeout=CALL_TIMEOUT)["StatusCode"]
        finally:
            timer.cancel()
        return TestRun(None if expired.is_set() else status, _report(container), last_lines(container))


def _report(container: Container) -> str | None:
    try:
        chunks, _ = container.get_archive(REPORT)
    except NotFound:
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        member = tar.extractfile(tar.getmembers()[0])
        return member.read().decode() if member else None
