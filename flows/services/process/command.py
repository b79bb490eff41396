"""Commands are values; one function runs, prints and streams them, and leaves no process behind."""

import os
import shlex
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from flows.core.errors import CommandFailed
from flows.services.process import cancellation

Say = Callable[[str], object]
"""Takes one line for the run's log."""

LAST_LINES = 50
NOT_INSTALLED = 127
"""The exit status of a program that is not there, as shells have it."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments; `environment` is added to this process's own, and is never printed.

    Secrets go into `environment` or `stdin`, never into `arguments`. `timeout` is in seconds, for all of it.
    """

    arguments: tuple[str, ...]
    timeout: float
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None
    stdin: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return shlex.join(self.arguments)


def silent(line: str) -> None:
    """A `Say` for output that only the caller needs."""


def run(command: Command, say: Say, *, output: Say | None = None) -> str:
    """What the command wrote to standard output; `say` gets the command, then each line as it comes.

    `output` takes the lines instead, where they are too many for the log. `CommandFailed` carries the exit
    status and the last 50 lines. A time-out, and any exception in this thread, ends the whole process group.
    """
    say(f"$ {command}")
    last: deque[str] = deque(maxlen=LAST_LINES)
    written: list[str] = []
    expired = threading.Event()

    def keep(line: str) -> None:
        last.append(line)
        (output or say)(line)

    def keep_and_return(line: str) -> None:
        written.append(line)
        keep(line)

    def expire() -> None:
        expired.set()
        cancellation.end(process)

    process = _started(command)
    others = (
        threading.Timer(command.timeout, expire),
        threading.Thread(target=_feed, args=(process, command.stdin), daemon=True),
        # in this context: what takes the lines may look there for whose log they belong to
        threading.Thread(target=copy_context().run, args=(_drain, process.stderr, keep), daemon=True),
    )
    with cancellation.current().running(process):
        try:
            for other in others:
                other.start()
            _drain(process.stdout, keep_and_return)
            others[-1].join()
            status = process.wait()
        finally:
            others[0].cancel()
    if status != 0 or expired.is_set():
        raise _failure(command, status, "\n".join(last), timed_out=expired.is_set())
    return "\n".join(written)


def _started(command: Command) -> subprocess.Popen[str]:
    try:
        process = subprocess.Popen(
            command.arguments,
            stdin=subprocess.PIPE if command.stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=command.folder,
            env={**os.environ, **command.environment},
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as missing:
        raise CommandFailed(
            f"The program {missing.filename!r} is not on this machine.",
            "Install it, or set its path.",
            status=NOT_INSTALLED,
        ) from missing
    return process


def _feed(process: subprocess.Popen[str], text: str | None) -> None:
    if process.stdin is None or text is None:
        return
    try:
        process.stdin.write(text)
        process.stdin.close()
    except BrokenPipeError:
        return  # it ended without reading all: its exit status says why


def _drain(stream: IO[str] | None, take: Say) -> None:
    for line in stream or ():
        take(line.rstrip("\n"))


def _failure(command: Command, status: int, output: str, *, timed_out: bool) -> CommandFailed:
    program = " ".join(command.arguments[:2])
    how = f"took longer than {command.timeout:.0f} s" if timed_out else f"ended with exit status {status}"
    return CommandFailed(f"{program} {how}.", details=output, status=status, timed_out=timed_out)
