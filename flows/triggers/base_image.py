"""The base image, of which the poller asks the registry rarely: it changes once in weeks."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from flows.core.build.image import Reference

INTERVAL = 3600.0
"""Seconds between two questions."""


@dataclass(frozen=True)
class _Known:
    base: Reference
    asked_for: tuple[str, str]
    until: float


class BaseImageCache:
    """The base image by digest, asked for at most once an hour, and whenever `latest` has moved.

    A run of ci asks for itself: after it, the answer from before may be older than what `latest` was made of.
    An error is not kept.
    """

    def __init__(self) -> None:
        self._known: _Known | None = None

    def get(self, setting: str, latest_run: str, ask: Callable[[], Reference]) -> Reference:
        """What `ask` says of the base image of that setting while `latest` is that run's; errors as of it."""
        known, now = self._known, time.monotonic()
        if known is None or known.asked_for != (setting, latest_run) or now >= known.until:
            known = self._known = _Known(ask(), (setting, latest_run), now + INTERVAL)
        return known.base
