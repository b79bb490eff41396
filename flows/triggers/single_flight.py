"""A question that several ask at the same time, or shortly after each other, is asked once for all of them.

As in a burst of deliveries of one push, each of which would cost Prefect the same question.
"""

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from threading import Lock
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass
class _Asked(Generic[Answer]):
    answer: Future[Answer] = field(default_factory=Future)
    until: float = inf


class SingleFlight(Generic[Answer]):
    """Answers, for any number of threads; one that was found counts for `seconds` more, an error never."""

    def __init__(self, seconds: float = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._lock = Lock()
        self._asked: dict[Hashable, _Asked[Answer]] = {}

    def ask(self, question: Hashable, find: Callable[[], Answer]) -> tuple[Answer, bool]:
        """What `find` gives or raises, and whether it was called for this caller."""
        with self._lock:
            now = self._clock()
            self._asked = {one: asked for one, asked in self._asked.items() if asked.until > now}
            is_first = question not in self._asked
            asked = self._asked.setdefault(question, _Asked())
        if is_first:
            self._answer(asked, find)
        return asked.answer.result(), is_first

    def _answer(self, asked: _Asked[Answer], find: Callable[[], Answer]) -> None:
        found = -inf
        try:
            asked.answer.set_result(find())
            found = self._clock()
        except BaseException as error:  # whatever it is, no caller may wait forever
            asked.answer.set_exception(error)
        finally:
            asked.until = found + self._seconds
