"""A login that asks for credentials when they are needed, and caches them until they have to be renewed."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flows.services.registry.auth import Credentials


@dataclass(frozen=True)
class ExpiringCredentials:
    """Credentials (None: there are none), and the time from which they are asked for again."""

    credentials: Credentials | None
    renewed_at: datetime


@dataclass
class CachedLogin:
    """A `Login` for clients in several threads. `ask` gives new credentials; errors are those of `ask`."""

    ask: Callable[[], ExpiringCredentials]
    _cached: ExpiringCredentials | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self) -> Credentials | None:
        """The credentials that are valid now."""
        with self._lock:
            if self._cached is None or datetime.now(UTC) >= self._cached.renewed_at:
                self._cached = self.ask()
            return self._cached.credentials
