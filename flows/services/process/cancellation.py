"""The processes and requests that a run has under way: when it ends, they end with it."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from flows.core.errors import RunEnded

T = TypeVar("T")

GRACE = 3.0
"""Seconds that a program gets to end by itself: git removes its lock files then."""


class CancellationScope:
    """The processes and requests of one run; `cancel` ends them, and those of no other run."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[Any]] = set()
        self._awaited: set[Future[Any]] = set()
        self._is_cancelled = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What this code starts meanwhile is of this scope, also in threads with a copy of its context."""
        before = _current.get()
        _current.set(self)
        try:
            yield
        finally:
            if _current.get() is self:  # not where it is left in another thread
                _current.set(before)

    @contextmanager
    def running(self, process: subprocess.Popen[Any]) -> Iterator[None]:
        """The process is of this scope, and ended after the context whatever happens in it."""
        self._processes.add(process)
        try:
            if self._is_cancelled:
                end(process)
            yield
        finally:
            end(process)
            process.wait()
            self._processes.discard(process)

    def call(self, request: Callable[[], T], timeout: float | None = None) -> T:
        """What the request gives, or its error; `RunEnded` as soon as the scope is cancelled.

        It is made in a thread that does not keep the process alive. A signal interrupts the main thread while
        it waits, and `cancel` any other one. `TimeoutError` after `timeout` seconds: it is given up then.
        """
        answer: Future[T] = Future()
        self._awaited.add(answer)
        try:
            if self._is_cancelled:
                raise RunEnded("The run is over; its request was not sent.")
            threading.Thread(target=copy_context().run, args=(_answer, answer, request), daemon=True).start()
            return answer.result(timeout)
        finally:
            self._awaited.discard(answer)

    def cancel(self) -> None:
        """End what other threads of this run have running, or start later, and all they wait for."""
        self._is_cancelled = True
        for process in tuple(self._processes):
            end(process)
        for answer in tuple(self._awaited):
            with suppress(InvalidStateError):  # it has come this moment
                answer.set_exception(RunEnded("The run is over; what it still asked for was given up."))


_current: ContextVar[CancellationScope] = ContextVar("scope", default=CancellationScope())  # noqa: B039 # shared by what is of no run


def current() -> CancellationScope:
    """The scope of the run that this code is of; outside of any, one that nothing cancels."""
    return _current.get()


def end(process: subprocess.Popen[Any]) -> None:
    """End the process and all it started, by force after `GRACE`; nothing where none is left."""
    if not _signalled(process, signal.SIGTERM):
        return
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        _signalled(process, signal.SIGKILL)


def _signalled(process: subprocess.Popen[Any], what: signal.Signals) -> bool:
    """Whether the process, or any that it started, was there to get the signal."""
    try:
        os.killpg(process.pid, what)
    except ProcessLookupError:
        return False
    return True


def _answer(answer: Future[T], request: Callable[[], T]) -> None:
    with suppress(InvalidStateError):  # given up
        try:
            answer.set_result(request())
        except BaseException as error:
            answer.set_exception(error)
