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
"""Lines of a program's output that an error carries."""

OUTPUT_LIMIT, LONGEST_PIECE = 64 << 20, 1 << 20
"""Characters that a program may write, and those of a line that are taken at a time."""

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
    status and the last 50 lines; so it does where more than `OUTPUT_LIMIT` is written. A time-out, and any
    exception in this thread, ends the whole process group.
    """
    say(f"$ {command}")
    last: deque[str] = deque(maxlen=LAST_LINES)
    written: list[str] = []
    expired, endless = threading.Event(), threading.Event()
    left = OUTPUT_LIMIT

    def keep(piece: str) -> None:
        nonlocal left
        left -= len(piece)
        if left < 0 and not endless.is_set():
            endless.set()
            threading.Thread(target=cancellation.end, args=(process,), daemon=True).start()
        if not endless.is_set():
            last.append(piece.rstrip("\n"))
            (output or say)(piece.rstrip("\n"))

    def keep_and_return(piece: str) -> None:
        if not endless.is_set():
            written.append(piece)
        keep(piece)

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
    if endless.is_set():
        raise CommandFailed(f"{_named(command)} wrote more than {OUTPUT_LIMIT >> 20} MB.", status=status)
    if status != 0 or expired.is_set():
        raise _failure(command, status, "\n".join(last), timed_out=expired.is_set())
    return "".join(written).removesuffix("\n")


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
    while piece := stream.readline(LONGEST_PIECE) if stream else "":
        take(piece)


def _failure(command: Command, status: int, output: str, *, timed_out: bool) -> CommandFailed:
    how = f"took longer than {command.timeout:.0f} s" if timed_out else f"ended with exit status {status}"
    return CommandFailed(f"{_named(command)} {how}.", details=output, status=status, timed_out=timed_out)


def _named(command: Command) -> str:
    return " ".join(command.arguments[:2])
