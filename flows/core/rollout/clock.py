"""How long a rollout is watched: its own time, and the waiting time that does not count."""

from dataclasses import dataclass, field

from flows.core.rollout.verdict import Done, Failed, Progressing, RolloutState


@dataclass
class RolloutClock:
    """The time of one watch that began at `began`; all times are seconds of a monotonic clock.

    The rollout has `timeout` seconds. Time in which a node or an image is on its way does not count, up to
    `patience` seconds in all. A failure ends the watch once it has lasted for its own patience, in which no
    pod came or went.
    """

    timeout: float
    patience: float
    began: float
    waited: float = 0.0
    """Seconds that did not count because something was on its way."""

    _away: float = 0.0
    _last: float | None = None
    _failing_since: float | None = None
    _pods: frozenset[str] = field(default_factory=frozenset)

    def is_late(self, now: float) -> bool:
        """Whether the time is up."""
        return now > self.began + self.timeout + self.waited + self._away

    def was_away(self, since: float, now: float) -> None:
        """Take in that the API server did not answer since then: that time does not count."""
        self._away += now - since
        self._failing_since, self._last = None, now

    def ends(self, state: RolloutState, pods: frozenset[str], now: float) -> bool:
        """Whether the watch ends with what was seen just now; `pods` are the uids of those there are."""
        since_last = now - (self.began if self._last is None else self._last)
        came_or_went = pods != self._pods
        self._last, self._pods = now, pods
        match state:
            case Done():
                return True
            case Failed():
                if self._failing_since is None or came_or_went:
                    self._failing_since = now
                return now - self._failing_since >= state.patience or self.is_late(now)
            case Progressing():
                self._failing_since = None
                if state.coming:
                    self.waited = min(self.patience, self.waited + since_last)
                return self.is_late(now)
