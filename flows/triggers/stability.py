"""Whether a plain model file is written to its end: two looks that are apart have to see the same.

Deliveries of a burst look within milliseconds, at a file that may grow all the while. So what counts is for
how long a file has looked as it does now.
"""

from threading import Lock

from flows.core.model.model import ModelVersionSeen


class StabilityCheck:
    """What was seen at the store last and since when, for any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: ModelVersionSeen | None = None
        self._since = 0.0

    def is_stable(self, seen: ModelVersionSeen, now: float, apart: float) -> bool:
        """Whether it is a published model, or was seen just so at least `apart` seconds before `now`."""
        with self._lock:
            if seen != self._seen:
                self._seen, self._since = seen, now
            return seen.settled or now - self._since >= apart
