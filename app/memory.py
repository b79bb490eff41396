"""The pod's memory, which requests share: what a request needs is known from headers before it is taken."""

import os
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import TracebackType

from app.problems import MB, busy
from app.turns import Turns

UNIT = 32 * MB
"""Bytes that one place of the `Turns` stands for."""

FREE = 4 * MB
"""Bytes. A request that needs fewer takes no place."""

BODIES = 192 * MB
"""Bytes for the bodies of requests; the rest is for pictures that are being decoded."""

WAITS = 10.0
"""Seconds that a request waits for room, over all that it takes."""

THREADS = 6
"""Threads of a worker that may wait for room or have some: the others are for small requests."""

_OF_A_PROCESS = 100 * MB
"""Set aside for each process, whatever it serves."""

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Memory:
    """What requests may use of a pod's `limit` (bytes), beside what each of its `processes` needs anyway.

    The workers share `folder`, which holds a file for each place.
    """

    def __init__(self, folder: Path, limit: int, processes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        room = limit - processes * _OF_A_PROCESS
        self.bodies = Turns(folder, "bodies", BODIES // UNIT)
        self.pictures = Turns(folder, "pictures", max(1, (room - BODIES) // UNIT))
        self.threads = threading.BoundedSemaphore(THREADS)

    @classmethod
    def of_this_pod(cls) -> "Memory":
        """By the variables and limits of this process; see app.gunicorn_conf."""
        folder = os.environ.get("TURNS_DIR") or _own_folder().name
        return cls(Path(folder), limit(), 1 + int(os.environ.get("WEB_CONCURRENCY", "2")))


class Room:
    """What one request has taken of the pod's memory; it is given back when the context ends."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._deadline = time.monotonic() + WAITS
        self._held = ExitStack()
        self._is_counted = False

    def __enter__(self) -> "Room":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def take(self, turns: Turns, size: int) -> None:
        """Takes room for so many bytes. Raises Problem if there is none in time."""
        if size < FREE:
            return
        if not self._is_counted:
            if not self._memory.threads.acquire(blocking=False):
                raise busy()
            self._held.callback(self._memory.threads.release)
            self._is_counted = True
        try:
            self._held.enter_context(turns.take(-(-size // UNIT), self._deadline))
        except TimeoutError:
            raise busy() from None


def limit() -> int:
    """Bytes for this container: MEMORY_LIMIT_MB, the control group's limit, or the machine's memory."""
    if given := os.environ.get("MEMORY_LIMIT_MB"):
        return int(given) * MB
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [int(text) for file in _CGROUPS if (text := _read(file)).isdecimal()]
    return min([machine, *limits])


@cache
def _own_folder() -> "tempfile.TemporaryDirectory[str]":
    """Of a process that serves alone; it is gone with the process."""
    return tempfile.TemporaryDirectory(prefix="slipway-app-")


def _read(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except OSError:
        return ""
