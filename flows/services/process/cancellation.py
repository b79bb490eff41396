"""Requests that a cancelled run does not wait for, though their client can't be interrupted."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from flows.core.errors import RunEnded

T = TypeVar("T")

_awaited: set[Future[Any]] = set()


def call(request: Callable[[], T]) -> T:
    """What the request gives, or its error; `RunEnded` as soon as `give_up_all` is called meanwhile.

    It is made in a thread that does not keep the process alive, and whoever waits for it can be interrupted:
    the main thread by a signal, any other by `give_up_all`.
    """
    answer: Future[T] = Future()
    _awaited.add(answer)
    try:
        threading.Thread(target=copy_context().run, args=(_answer, answer, request), daemon=True).start()
        return answer.result()
    finally:
        _awaited.discard(answer)


def give_up_all() -> None:
    """Let nobody wait any longer; for a run that is over while other threads still wait for answers."""
    for answer in tuple(_awaited):
        with suppress(InvalidStateError):  # it has come this moment
            answer.set_exception(RunEnded("The run is over; what it still asked for was given up."))


def _answer(answer: Future[T], request: Callable[[], T]) -> None:
    with suppress(InvalidStateError):  # given up
        try:
            answer.set_result(request())
        except BaseException as error:
            answer.set_exception(error)
