"""Markdown for Prefect's pages: what another author wrote becomes plain text there.

Prefect's UI renders artifacts, their descriptions, the cells of tables and forms.
"""

import re
from urllib.parse import quote

from flows.core.text import one_line, printable

SPECIAL = re.compile(
    r"[\\`*\[\]<|]"  # code, emphasis, links, HTML, cells
    r"|(?<=\])\(|!(?=\[)"  # of a link and of a picture
    r"|(?<![^\W_])_|_(?![^\W_])|~(?=~)"  # emphasis, and text that is struck through
    r"|&(?=#?\w+;)"  # an entity
    r"|(?<=\w):(?=//)|(?<=www)\.",  # what becomes a link by itself
    re.IGNORECASE,
)
"""Characters that mean something to CommonMark or to GitHub's extensions of it, where they do."""

IN_ADDRESSES = "/:?#@!$&'*+,;=%-._~"


class Markdown(str):
    """A text that is Markdown on purpose, and is not escaped again."""


def plain(value: object) -> str:
    """The value on one line, escaped so that Markdown shows its characters, also in a table's cell."""
    if isinstance(value, Markdown):
        return str(value)
    return SPECIAL.sub(r"\\\g<0>", one_line(str(value)))


def linked(text: object, address: str) -> Markdown:
    """The text as a link, where there is an address."""
    return Markdown(f"[{plain(text)}]({quote(address, safe=IN_ADDRESSES)})" if address else plain(text))


def block(text: str, language: str = "") -> str:
    """The text as a code block of that language, which nothing in the text ends."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text)}\n{fence}"
