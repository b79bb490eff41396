"""The documents agree with the program: commands parse, links lead somewhere, every key is described."""

import contextlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from flows.cli.__main__ import app
from flows.config import reference
from flows.config.load import CHECKOUT

PAGES = sorted(
    [
        CHECKOUT / name
        for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
    ]
    + list((CHECKOUT / "docs").rglob("*.md"))
)
LONGEST = {"README.md": 130, "ARCHITECTURE.md": 180}
STAND_INS = {"RUN": "1234abcd", "ENVIRONMENT": "production", "COMMAND": "status"}
PYTHON = CHECKOUT / ".venv" / "bin" / "python"


def name(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def commands(page: Path) -> Iterator[str]:
    """The lines of shell blocks, and the code within text."""
    text = page.read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from (line.partition("  #")[0].strip() for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def lines_of(program: str) -> list[tuple[str, str]]:
    found = [(name(page), line) for page in PAGES for line in commands(page)]
    return sorted({(page, line) for page, line in found if line.split(" ")[0] == program})


def words(line: str) -> list[str]:
    return [STAND_INS.get(word, word) for word in shlex.split(re.split("[|>]", line)[0])][1:]


def parse(arguments: list[str]) -> None:
    """Parse a line with the program's own parser, down to the command, and run nothing."""
    command = get_command(app)
    while True:
        context = command.make_context("slipway", list(arguments), resilient_parsing=False)
        rest = [*context._protected_args, *context.args]  # click keeps the next command there
        if not rest:
            return
        _, inner, arguments = command.resolve_command(context, rest)  # type: ignore[attr-defined]
        command = inner


@pytest.mark.parametrize(("page", "line"), lines_of("slipway"))
def test_a_line_of_slipway_parses(page: str, line: str) -> None:
    with contextlib.suppress(typer.Exit, SystemExit):  # --help and --show-completion end so
        parse(words(line))


@pytest.mark.parametrize(("page", "line"), lines_of("make"))
def test_a_line_of_make_names_targets_that_exist(page: str, line: str) -> None:
    answer = subprocess.run(
        ["make", "--dry-run", *words(line)], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    broken = [target for target in targets if "://" not in target and not leads_somewhere(page, target)]
    assert broken == []


@pytest.mark.parametrize(("page", "longest"), LONGEST.items())
def test_the_first_pages_stay_short(page: str, longest: int) -> None:
    assert len((CHECKOUT / page).read_text().splitlines()) <= longest


def test_the_configuration_page_is_the_schemas() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run: .venv/bin/python -m flows.config.reference"


def leads_somewhere(page: Path, target: str) -> bool:
    file, _, heading = target.partition("#")
    path = (page.parent / file).resolve() if file else page
    return path.exists() and (not heading or heading in anchors(path))


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
