import io
import subprocess
import time
from concurrent.futures import Future
from threading import Event

import psutil
import pytest
from rich.console import Console

from deployments.local.progress import Display, Say, Steps
from flows.core.errors import PlatformFailed


def lines(output: io.StringIO) -> list[str]:
    """Without the time at their beginning."""
    return [line.partition("] ")[2] for line in output.getvalue().splitlines()]


def test_a_step_begins_when_those_it_builds_on_are_done() -> None:
    with Steps(Display(Console(quiet=True))) as steps:
        two: Future[int] = steps.start("two", lambda _: 2)
        three: Future[int] = steps.start("three", lambda _: 3)
        product = steps.start("product", lambda a, b, _: a * b, two, three)
    assert product.result() == 6


def test_independent_steps_run_side_by_side() -> None:
    met = Event()

    def arrive(_: Say) -> None:
        met.set()

    with Steps(Display(Console(quiet=True))) as steps:
        waited = steps.start("waits for the other", lambda _: met.wait(5))
        steps.start("other", arrive)
    assert waited.result()


def test_a_failure_is_raised_and_what_builds_on_it_never_begins() -> None:
    begun: list[str] = []

    def fail(_: Say) -> None:
        raise PlatformFailed("It broke.")

    with pytest.raises(PlatformFailed, match="It broke"), Steps(Display(Console(quiet=True))) as steps:
        steps.start("next", lambda _, say: begun.append("next"), steps.start("first", fail))
    assert begun == []


def test_a_failure_ends_the_programs_of_other_steps() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def compile_for_long(_: Say) -> None:
        started.append(subprocess.Popen(["sleep", "600"]))
        started[0].wait()

    def fail(_: Say) -> None:
        while not started:
            time.sleep(0.01)
        raise PlatformFailed("It broke.")

    def both(steps: Steps) -> None:
        with steps:
            steps.start("long", compile_for_long)
            steps.start("short", fail)

    with pytest.raises(PlatformFailed):
        both(Steps(Display(Console(quiet=True))))
    assert not psutil.pid_exists(started[0].pid) or started[0].poll() is not None


def test_programs_from_before_the_steps_are_not_ended_with_them() -> None:
    def fail(_: Say) -> None:
        raise PlatformFailed("It broke.")

    with subprocess.Popen(["sleep", "600"]) as other:
        with pytest.raises(PlatformFailed), Steps(Display(Console(quiet=True))) as steps:
            steps.start("fails", fail)
        assert other.poll() is None
        other.kill()


def test_without_a_terminal_every_message_is_a_line() -> None:
    output = io.StringIO()
    with Display(Console(file=output, soft_wrap=True)) as display, Steps(display) as steps:
        steps.start("Registry", lambda say: say("pushing"))
    assert lines(output) == ["Registry: pushing", "✓ Registry (0 s)"]


def test_a_step_that_found_everything_there_says_nothing() -> None:
    output = io.StringIO()
    with Display(Console(file=output)) as display, Steps(display) as steps:
        steps.start("Registry", lambda _: None)
    assert output.getvalue() == ""
