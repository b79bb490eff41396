"""Waiting for what a test expects, however busy the machine is."""

from collections.abc import Callable

from deployments.local import wait

LIMIT = 240.0
"""Seconds: less than a test may take, so that what did not come is named."""


def wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Return once it is so; `PlatformFailed` with that sentence at the limit."""
    wait.wait_until(is_so, LIMIT, otherwise)
