"""A login that asks for credentials at a use, and keeps them while they are certain to be valid."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flows.services.registry.auth import Credentials


@dataclass(frozen=True)
class Given:
    """Credentials, and the time from which they are to be asked for again."""

    credentials: Credentials | None
    until: datetime


@dataclass
class KeptLogin:
    """A login for clients in several threads; of the answers of `ask`, it keeps the last."""

    ask: Callable[[], Given]
    _given: Given | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self) -> Credentials | None:
        """The credentials that are valid now."""
        with self._lock:
            if self._given is None or datetime.now(UTC) >= self._given.until:
                self._given = self.ask()
            return self._given.credentials
