"""The report of a duel, as a file that a browser shows."""

import webbrowser
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer

from flows.cli import output
from flows.cli.connection import connection
from flows.cli.options import Json, RunId
from flows.cli.server import Server
from flows.core.errors import PermanentError

File = Annotated[
    Path | None,
    typer.Option("--output", help="Write it there, and open no browser.", show_default="a temporary file"),
]


def report(run: RunId, file: File = None, as_json: Json = False) -> None:
    """Fetch the report of a run's duel, and open it in the browser."""
    connection().export()
    from flows.explain import ask  # noqa: PLC0415  # it imports Prefect

    with Server() as server:
        found = server.find(run)
    page = ask.duel_report(found.id)
    if page is None:
        raise PermanentError(
            f"Run {found.short} has no report of a duel: it held none, or housekeeping has deleted it.",
            "Read the row `duel` in the run's own report.",
        )
    written = file or Path(mkdtemp(prefix="slipway-report-")) / f"duel-{found.short}.html"
    written.write_bytes(page)
    if as_json:
        output.print_json({"run": output.run_json(found), "file": str(written.absolute())})
        return
    print(written)
    if file is None and not webbrowser.open(written.absolute().as_uri()):
        output.say("No browser could be started: open the file in one.")
