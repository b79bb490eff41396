"""Places that the threads of all workers of a pod share."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_PAUSE = 0.05
"""Seconds between two tries for a lock."""


class Turns:
    """A number of places. Those that a process holds are free again when it ends, however it ends."""

    def __init__(self, folder: Path, name: str, places: int) -> None:
        self._gate = folder / f"{name}.gate"
        self._places = [folder / f"{name}.{place}" for place in range(places)]

    @contextmanager
    def take(self, wanted: int, deadline: float) -> Iterator[None]:
        """Holds as many places as are wanted, or all. Raises TimeoutError at the deadline (time.monotonic).

        A caller that wants several passes the gate first, one caller at a time: two that held a part each
        would wait for ever.
        """
        wanted = min(wanted, len(self._places))
        with ExitStack() as held:
            with ExitStack() as gate:
                if wanted > 1:
                    _until(deadline, lambda: _lock(gate, self._gate))
                free = iter(self._places)
                for _ in range(wanted):
                    free = self._next(held, free, deadline)
            yield

    def _next(self, held: ExitStack, places: Iterator[Path], deadline: float) -> Iterator[Path]:
        """Holds one more place; returns those that were not tried yet."""
        if any(_lock(held, place) for place in places):
            return places
        _until(deadline, lambda: any(_lock(held, place) for place in self._places))
        return iter(())


def _until(deadline: float, is_so: Callable[[], bool]) -> None:
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_PAUSE)


def _lock(held: ExitStack, file: Path) -> bool:
    """Whether the file's lock is held now; it is not waited for."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    held.callback(os.close, descriptor)
    return True
