"""Waiting until a part of the platform is as it has to be."""

from collections.abc import Callable

from flows.core.errors import PlatformFailed
from flows.services.process.poll import Waiting, poll

INTERVAL = 0.25
"""Seconds between two looks."""


def wait_until(is_so: Callable[[], bool], timeout: float, otherwise: str, remedy: str = "") -> None:
    """Return once it is so; after `timeout` seconds raise `PlatformFailed` with that sentence and remedy."""

    def late(_: str) -> PlatformFailed:
        return PlatformFailed(f"{otherwise} after {timeout:.0f} s.", remedy)

    poll(lambda: is_so() or Waiting(), timeout=timeout, pause=INTERVAL, late=late)
