"""Waiting for what may never come."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.core.errors import CommandFailed, RunEnded
from flows.services.process import cancellation
from flows.services.process.cancellation import CancellationScope
from flows.services.process.command import Command, run


def test_an_answer_and_an_error_come_as_they_are() -> None:
    assert CancellationScope().call(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        CancellationScope().call(lambda: 1 // 0)


def test_a_waiting_call_is_let_go_when_the_run_is_over() -> None:
    asked, never = threading.Event(), threading.Event()

    def silent_server() -> bool:
        asked.set()
        return never.wait()

    scope = CancellationScope()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(scope.call, silent_server)
        assert asked.wait(5)
        scope.cancel()
        with pytest.raises(RunEnded):
            waiting.result(5)
    never.set()


def test_a_run_that_is_over_sends_no_request() -> None:
    sent = threading.Event()
    scope = CancellationScope()
    scope.cancel()
    with pytest.raises(RunEnded):
        scope.call(sent.set)
    assert not sent.is_set()


def test_a_run_that_ends_leaves_the_commands_of_every_other_run_alone() -> None:
    ending, other = CancellationScope(), CancellationScope()
    started = {scope: threading.Event() for scope in (ending, other)}

    def sleep_in(scope: CancellationScope, seconds: float) -> str:
        with scope.entered():
            script = f"echo started; sleep {seconds}; echo done"
            return run(Command(("sh", "-c", script), timeout=30), lambda line: logged(scope, line))

    def logged(scope: CancellationScope, line: str) -> None:
        if line == "started":
            started[scope].set()

    with ThreadPoolExecutor() as pool:
        ended = pool.submit(sleep_in, ending, 20)
        kept = pool.submit(sleep_in, other, 1)
        assert all(event.wait(5) for event in started.values())
        ending.cancel()
        with pytest.raises(CommandFailed):
            ended.result(10)
        assert kept.result(10) == "started\ndone"


def test_the_scope_of_a_run_ends_where_it_was_entered() -> None:
    outer, inner = CancellationScope(), CancellationScope()
    with outer.entered():
        with inner.entered():
            assert cancellation.current() is inner
        assert cancellation.current() is outer
