"""Looking at something repeatedly, until there is a result or the time is up."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flows.services.process.command import Say, silent

T = TypeVar("T")


@dataclass(frozen=True)
class Waiting:
    """What a look gives while there is no result yet; `reason` is for people, or ""."""

    reason: str = ""


def poll(
    look: Callable[[], T | Waiting],
    *,
    timeout: float,
    pause: float,
    late: Callable[[str], Exception],
    on_change: Say = silent,
) -> T:
    """The first result of `look`, which is called every `pause` seconds and may raise to end the wait.

    After `timeout` seconds what `late` makes of the last reason is raised. `on_change` gets each new reason.
    """
    deadline = time.monotonic() + timeout
    reported = ""
    while True:
        result = look()
        if not isinstance(result, Waiting):
            return result
        if time.monotonic() > deadline:
            raise late(result.reason)
        if result.reason not in ("", reported):
            reported = result.reason
            on_change(reported)
        time.sleep(pause)
