"""Waiting until something is so."""

import time
from collections.abc import Callable

from flows.core.errors import PlatformFailed

INTERVAL = 0.1
"""Seconds between two looks."""


def wait_until(is_so: Callable[[], bool], timeout: float, otherwise: str, remedy: str = "") -> None:
    """Return once it is so; after `timeout` seconds raise `PlatformFailed` with that sentence and remedy."""
    deadline = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > deadline:
            raise PlatformFailed(f"{otherwise} after {timeout:.0f} s.", remedy)
        time.sleep(INTERVAL)
