"""Every command line of `az` that the project shows or runs: in scripts, pages and the texts of errors."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from flows.config.load import CHECKOUT

SCRIPTS = ("deployments/azure/create", "deployments/azure/delete")
VALUES = {
    "KEPT_DAYS": "30",
    "cluster_tier": "free",
    "nodes": "2",
    "principal_type": "User",
    "registry_sku": "Standard",
    "storage_sku": "Standard_ZRS",
}
"""Of the variables in a line whose value az checks."""


@dataclass(frozen=True)
class Line:
    """Words without `az`, and the file that has them."""

    file: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: az {shlex.join(self.words)}"


def all_lines() -> list[Line]:
    """Each once for each file."""
    scripts = [CHECKOUT / name for name in SCRIPTS]
    pages = [*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")]
    code = [file for folder in ("flows", "deployments") for file in (CHECKOUT / folder).rglob("*.py")]
    found = [
        Line(str(file.relative_to(CHECKOUT)), line)
        for files, lines in ((scripts, in_script), (pages, in_page), (code, in_code))
        for file in files
        for line in lines(file.read_text())
    ]
    return sorted(set(found), key=str)


def in_script(text: str) -> Iterator[tuple[str, ...]]:
    """Of a shell script: what it runs, and what its messages advise."""
    joined = re.sub(r"\\\n\s*", "", text)
    for match in re.finditer(r"(?:^ *|\$\(|\|\| |&& )(?:command )?az (?=[a-z])(.*)", joined, re.MULTILINE):
        yield words(match[1])
    for match in re.finditer(r': az ([a-z][^"]*)"', joined):
        yield words(match[1])


def in_page(text: str) -> Iterator[tuple[str, ...]]:
    """Of a page: the lines of its shell blocks, and code within text."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from in_script(block)
    yield from _quoted(re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def in_code(text: str) -> Iterator[tuple[str, ...]]:
    """Of a Python module: what its texts show in backticks or in parentheses, or end a sentence with."""
    nodes = list(ast.walk(ast.parse(text)))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        match node:
            case ast.JoinedStr(values=values):
                shown = (str(one.value) if isinstance(one, ast.Constant) else "x" for one in values)
                yield from _quoted("".join(shown))
            case ast.Constant(value=str(value)) if id(node) not in parts:
                yield from _quoted(value)


def words(line: str) -> tuple[str, ...]:
    """Those of the command that the line begins with; variables have a value."""
    without_options = re.sub(r"\$\{\w+:\+[^}]*\}", "", line)
    filled = re.sub(r"\$\{?(\w+)\}?", lambda match: VALUES.get(match[1], "x"), without_options)
    lexer = shlex.shlex(filled, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    found = []
    for word in lexer:
        if set(word) <= set("();<>|&"):
            break
        found.append(word)
    return tuple(found)


def _quoted(text: str) -> Iterator[tuple[str, ...]]:
    for match in re.finditer(r"`az ([a-z][^`]*)`|\(az ([a-z][^)]*)\)|: az ([a-z].*?)(?:\.(?= |$)|$)", text):
        yield words(next(group for group in match.groups() if group))
