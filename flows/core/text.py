"""Texts for people that several modules write."""

import json
from collections.abc import Callable, Collection
from typing import Any

from pydantic import ValidationError

Location = tuple[int | str, ...]
"""Where a value is: keys and indices, from the outermost."""

LONGEST = 60
"""Characters of a value that a message quotes."""


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
