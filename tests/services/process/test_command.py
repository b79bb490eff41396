import os
import signal
import sys
import threading
from contextvars import copy_context
from pathlib import Path

import psutil
import pytest

from flows.core.errors import CommandFailed
from flows.services.process import cancellation, command
from flows.services.process.cancellation import CancellationScope
from flows.services.process.command import Command, run, silent


def python(code: str, *, timeout: float = 20, **options: object) -> Command:
    return Command((sys.executable, "-c", code), timeout, **options)  # type: ignore[arg-type]  # by test


def shell(script: str) -> Command:
    """A program that begins at once, and has a second."""
    return Command(("sh", "-c", script), timeout=1)


def test_each_line_is_logged_as_it_comes_and_standard_output_is_given_back() -> None:
    logged: list[str] = []
    output = run(python("import sys; print('out'); print('err', file=sys.stderr)"), logged.append)
    assert output == "out"
    assert sorted(logged[1:]) == ["err", "out"]


def test_the_command_itself_is_logged_without_its_environment() -> None:
    logged: list[str] = []
    run(python("pass", environment={"TOKEN": "secret"}), logged.append)
    assert logged[0].startswith("$ ")
    assert "secret" not in "".join(logged) + repr(python("pass", environment={"TOKEN": "secret"}))


def test_standard_input_reaches_the_program() -> None:
    assert run(python("print(input())", stdin="hello\n"), silent) == "hello"


def test_a_failure_carries_the_exit_status_and_the_last_lines() -> None:
    with pytest.raises(CommandFailed, match="ended with exit status 3") as failure:
        run(python("import sys; print('last words'); sys.exit(3)"), silent)
    assert (failure.value.status, failure.value.details) == (3, "last words")


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(CommandFailed, match="'no-such-program' is not on this machine"):
        run(Command(("no-such-program",), 5), silent)


def test_a_time_out_ends_the_program_and_all_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(CommandFailed, match="took longer than 1 s"):
        run(shell(f"sleep 60 & echo $! >{pid_file}; wait"), silent)
    assert _is_gone(int(pid_file.read_text()))


def test_a_program_that_is_ended_may_put_things_in_order_before(tmp_path: Path) -> None:
    lock = tmp_path / "main.lock"
    lock.touch()
    with pytest.raises(CommandFailed, match="took longer than 1 s"):
        run(shell(f"trap 'rm {lock}; exit' TERM; sleep 60 & wait"), silent)
    assert not lock.exists()


def test_a_program_that_does_not_want_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellation, "GRACE", 0.1)
    with pytest.raises(CommandFailed, match="took longer than 1 s") as failure:
        run(shell("trap '' TERM; sleep 60"), silent)
    assert failure.value.status == -signal.SIGKILL


def test_an_exception_in_the_caller_ends_the_program() -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        if line.isdigit():
            pids.append(int(line))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(python("import os, time; print(os.getpid(), flush=True); time.sleep(60)"), interrupt)
    assert _is_gone(pids[0])


def test_what_other_threads_run_can_be_ended_for_a_cancelled_run() -> None:
    started = threading.Event()
    failures: list[CommandFailed] = []

    def work() -> None:
        try:
            run(python("import time; print('up', flush=True); time.sleep(60)"), lambda _: started.set())
        except CommandFailed as failure:
            failures.append(failure)

    scope = CancellationScope()
    with scope.entered():
        thread = threading.Thread(target=copy_context().run, args=(work,))
        thread.start()
    assert started.wait(10)
    scope.cancel()
    thread.join(10)
    assert failures[0].status == -signal.SIGTERM


def _is_gone(pid: int) -> bool:
    """Ended; a zombie that was not waited for yet counts, as its parent was ended too."""
    try:
        psutil.wait_procs([psutil.Process(pid)], timeout=5)
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_environment_is_added_to_this_process_own() -> None:
    assert run(
        python("import os; print(os.environ['A'], os.environ['PATH'])", environment={"A": "b"}), silent
    ) == (f"b {os.environ['PATH']}")


def test_a_line_of_any_length_is_returned_whole() -> None:
    assert run(python("print('x' * 3_000_000); print('y')"), silent) == "x" * 3_000_000 + "\ny"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("end", ["\\n", ""], ids=["lines", "one line"])
def test_output_without_end_ends_the_program(monkeypatch: pytest.MonkeyPatch, stream: str, end: str) -> None:
    monkeypatch.setattr(command, "OUTPUT_LIMIT", 1 << 20)
    code = f"import sys\nwhile True: sys.{stream}.write('again and again{end}')"
    with pytest.raises(CommandFailed, match="wrote more than 1 MB") as failure:
        run(python(code, timeout=60), silent)
    assert not failure.value.timed_out
