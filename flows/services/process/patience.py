"""Waiting out a system that does not answer, for a stage that is tried once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flows.core.errors import TransientError
from flows.services.process.command import Say

T = TypeVar("T")

API_PATIENCE = 120.0
"""Seconds that the cluster may not be reached: an API server that is replaced is back by then."""

PAUSE = 0.5
"""Seconds between a request that failed and the next one."""


@dataclass
class Patience:
    """How long a stage waits for systems that do not answer, over all its requests.

    `seconds` are what is left of that. `alive` is called before a request is repeated, and may raise.
    """

    say: Say
    alive: Callable[[], None]
    seconds: float = API_PATIENCE

    def wait_out(self, request: Callable[[], T]) -> T:
        """The answer; the request is repeated after each `TransientError` until no seconds are left."""
        is_logged = False
        while True:
            started = time.monotonic()
            try:
                return request()
            except TransientError as error:
                if not is_logged:
                    self.say(f"Waiting for an answer. {error}")
                    is_logged = True
                time.sleep(PAUSE)
                self.seconds -= time.monotonic() - started
                if self.seconds <= 0:
                    raise
                self.alive()
