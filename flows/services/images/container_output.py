"""What a container writes, which may be anything, without end: as lines for the log, and as a file."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from flows.core.text import printable
from flows.services.process.command import Say

HEAD, TAIL = 1000, 200
"""Lines that are logged as they come, and of the others the last ones at the end."""

LONGEST = 2000
"""Characters of a line; longer ones are cut into several."""

FILE_LIMIT = 10 << 20
"""Bytes that are kept in a file."""


def follow(chunks: Iterable[bytes], say: Say, is_over: Callable[[], bool], file: Path | None = None) -> None:
    """Log the first lines as they come and the last ones at the end, and keep the first 10 MB in `file`.

    It ends where the output ends, or as soon as it `is_over` whatever comes.
    """
    count, last = 0, deque[str](maxlen=TAIL)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") if file else nullcontext() as kept:
        for line in _lines(chunks):
            if is_over():
                break
            count += 1
            if count <= HEAD:
                say(line)
            else:
                last.append(line)
            if kept is not None and kept.tell() < FILE_LIMIT:
                kept.write(f"{line}\n".encode())
    if (left_out := count - HEAD - len(last)) > 0:
        where = f" The first {FILE_LIMIT >> 20} MB are in {file}." if file else ""
        say(f"… {left_out} more lines are not shown here.{where}")
    for line in last:
        say(line)


def end_of(chunks: Iterable[bytes], size: int) -> bytes:
    """The last `size` bytes; no more of them is held at a time."""
    kept = b""
    for chunk in chunks:
        kept = (kept + chunk)[-size:]
    return kept


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield from _pieces(line)
        if len(rest) > LONGEST:
            yield from _pieces(rest)
            rest = b""
    if rest:
        yield from _pieces(rest)


def _pieces(line: bytes) -> Iterator[str]:
    """The line without control characters, which could rewrite what a terminal shows."""
    text = printable(line.decode(errors="replace")).rstrip()
    for start in range(0, max(len(text), 1), LONGEST):
        yield text[start : start + LONGEST]
