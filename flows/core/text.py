"""Texts for people that several modules use."""

import json
import re
from collections.abc import Callable, Collection
from typing import Any

from pydantic import ValidationError

Location = tuple[int | str, ...]
"""Where a value is: keys and indices, from the outermost."""

QUOTED_LINES, QUOTED_CHARACTERS = 3, 300
"""How many of the last lines and characters of a log a message quotes."""

LONGEST = 60
"""Characters of a value that a message quotes."""


ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b\]|\x9d).*?(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]",
    re.MULTILINE,
)
"""Control sequences of terminals (ECMA-48, sections 5.3 to 5.6): colours, titles, links, cursor movements."""


def printable(text: str) -> str:
    """The text without what a terminal obeys and a database refuses; line breaks and tabs stay.

    Control characters, escape sequences, surrogates and marks that turn the direction of writing are removed;
    other blanks become spaces.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, ESCAPES.sub("", text)))


def one_line(text: str) -> str:
    """As `printable`, with spaces in place of line breaks."""
    return printable(text).replace("\n", " ")


def _shown(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    return " " if character.isspace() else ""


def _no_siblings(_location: Location) -> list[str]:
    return []


def validation_message(
    error: ValidationError,
    siblings: Callable[[Location], list[str]] = _no_siblings,
    *,
    secret: Collection[str] = (),
) -> str:
    """What is wrong with each key, without a full stop.

    `siblings` gives the keys that are allowed beside the one at a location, where others are refused. The
    values of `secret` keys, as `source.repository`, are not quoted.
    """
    return "; ".join(_complaint(dict(detail), siblings, secret) for detail in error.errors())


def quoted(value: object) -> str:
    """A value as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def last_words(log: str) -> str:
    """The end of a log as a sentence of its own, after a space; "" where it has no lines."""
    lines = [line.strip() for line in log.splitlines() if line.strip()][-QUOTED_LINES:]
    return f" Its last lines: {' / '.join(lines)[-QUOTED_CHARACTERS:].rstrip('.')}." if lines else ""


def _complaint(
    detail: dict[str, Any], siblings: Callable[[Location], list[str]], secret: Collection[str]
) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    rule = str(detail["msg"]).removeprefix("Value error, ")
    match detail["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"unknown key {path!r} (allowed: {', '.join(siblings(detail['loc']))})"
        case "missing":
            return f"key {path!r} is missing"
        case "value_error" if not path or isinstance(detail["input"], dict):
            return rule
        case _ if path in secret:
            return f"key {path!r} {rule}"
        case _:
            return f"key {path!r} is {quoted(detail['input'])}: {rule}"
