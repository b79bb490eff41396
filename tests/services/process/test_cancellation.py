"""Waiting for what may never come."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.core.errors import RunEnded
from flows.services.process import cancellation


def test_an_answer_and_an_error_come_as_they_are() -> None:
    assert cancellation.call(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        cancellation.call(lambda: 1 // 0)


def test_whoever_waits_is_let_go_when_the_run_is_over() -> None:
    asked, never = threading.Event(), threading.Event()

    def silent_server() -> bool:
        asked.set()
        return never.wait()

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(cancellation.call, silent_server)
        assert asked.wait(5)
        cancellation.give_up_all()
        with pytest.raises(RunEnded):
            waiting.result(5)
    never.set()
