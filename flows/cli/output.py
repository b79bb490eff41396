"""What the command line prints: values for programs on standard output, everything else for people.

Every JSON document has the key `version`. It grows when a key is removed or changes its meaning.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flows.cli.server import LogLine, Run

VERSION = 1


def print_json(content: Mapping[str, Any]) -> None:
    """The document, with `version`."""
    print(json.dumps({"version": VERSION, **content}, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A line for each row, under the columns' names; nothing is cut off where the terminal is narrow."""
    table = [tuple(columns), *(tuple(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def say(line: str) -> None:
    """News for a person; not on standard output, which values may be read from."""
    print(line, file=sys.stderr, flush=True)


def run_json(run: Run) -> dict[str, Any]:
    """A run as every command gives it."""
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "outcome": run.state_name,
        "message": run.message,
        "url": run.link,
        "tags": list(run.tags),
        "created": run.created,
        "started": run.started,
        "ended": run.ended,
    }


def line_json(line: LogLine) -> dict[str, Any]:
    """An entry of a run's log."""
    return {"time": line.time, "level": line.level, "logger": line.logger, "message": line.message}
