"""The ways in which builders read a Dockerfile: they differ in where an instruction ends.

Versions differ in whether two backslashes continue a line, and in whether they know here-documents.
"""

import re
from collections.abc import Callable, Iterator, Sequence

HEREDOC = re.compile(r"<<(-?)\s*([\"']?)([^\s\"'<>|&;()]+)\2")
ONE_BACKSLASH = re.compile(r"(?:^|[^\\])\\[ \t]*$")

Line = tuple[int, str]
"""A line's or an instruction's number in the file, from 1, and its text."""


def readings(text: str) -> Iterator[Sequence[Line]]:
    """Every way to divide the file into instructions; the first is line by line."""
    lines = [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1)]
    yield lines
    yield list(_instructions(lines, lambda line: line.rstrip(" \t").endswith("\\")))
    yield list(_instructions(lines, _ends_in_one_backslash))
    yield list(_instructions(lines, _ends_in_one_backslash, heredocs=True))


def _ends_in_one_backslash(line: str) -> bool:
    return ONE_BACKSLASH.search(line) is not None


def _instructions(
    lines: Sequence[Line], goes_on: Callable[[str], bool], *, heredocs: bool = False
) -> Iterator[Line]:
    """The instructions with the lines that continue them, without comments and empty lines in between."""
    rest = iter(lines)
    for number, first in rest:
        if _is_empty(first):
            continue
        text, line = "", first
        while goes_on(line):
            text += line.rstrip(" \t").removesuffix("\\")
            line = next((more for _, more in rest if not _is_empty(more)), "")
        text += line
        yield number, text
        for dash, _, word in HEREDOC.findall(text) if heredocs else ():
            _skip_to(rest, word, tabs=bool(dash))


def _is_empty(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _skip_to(rest: Iterator[Line], word: str, *, tabs: bool) -> None:
    for _, line in rest:
        if (line.lstrip("\t") if tabs else line) == word:
            return
