"""A sign of life that all workers of a gunicorn share with the process that started them."""

import mmap
import struct
import time

_STAMP = struct.Struct("d")


class Pulse:
    """When a worker's thread last took something up. Made before the workers are, so that they share it."""

    def __init__(self) -> None:
        self._cell = mmap.mmap(-1, _STAMP.size)
        self._began = time.monotonic()

    def beat(self) -> None:
        """Says that a thread takes something up now."""
        _STAMP.pack_into(self._cell, 0, time.monotonic())

    @property
    def has_begun(self) -> bool:
        """Whether a worker was ever ready to take requests."""
        return self._last() > 0

    def age(self) -> float:
        """Seconds since the last beat; since the start where there was none."""
        return time.monotonic() - max(self._began, self._last())

    def _last(self) -> float:
        (last,) = _STAMP.unpack_from(self._cell)
        return float(last)


PULSE = Pulse()
"""Of this gunicorn: its workers are forked from the process that imports this."""
