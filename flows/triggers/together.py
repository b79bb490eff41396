"""A question that several ask at the same time is asked once, for all of them.

As in a burst of deliveries of one push: each answer still is one that was found after the question came up
for the first, and nothing is kept once it is given.
"""

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Together(Generic[Answer]):
    """Answers, for any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._asked: dict[Hashable, Future[Answer]] = {}

    def ask(self, question: Hashable, find: Callable[[], Answer]) -> tuple[Answer, bool]:
        """What `find` gives or raises, and whether it was called for this caller."""
        with self._lock:
            is_first = question not in self._asked
            asked = self._asked.setdefault(question, Future())
        if is_first:
            self._answer(question, asked, find)
        return asked.result(), is_first

    def _answer(self, question: Hashable, asked: Future[Answer], find: Callable[[], Answer]) -> None:
        try:
            asked.set_result(find())
        except BaseException as error:  # whatever it is, nobody may wait for ever
            asked.set_exception(error)
        finally:
            with self._lock:
                del self._asked[question]
