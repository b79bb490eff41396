"""Golden sets: labelled examples that a new image and what is live are both asked."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.connection import connection
from flows.cli.follow import run_to_its_end
from flows.cli.options import Json
from flows.cli.output import print_json, print_table
from flows.config import load as configuration

app = typer.Typer(name="evaluation", help="Publish and list golden sets.")

Folder = Annotated[
    Path,
    typer.Argument(help="manifest.json and the inputs that it names, at least 100; the worker reads it."),
]
Version = Annotated[
    str,
    typer.Argument(
        help="A new version: a published one never changes.", show_default="the hash of the content"
    ),
]
Name = Annotated[str, typer.Option("--name", help="The model that it is for.", show_default="[model] name")]


@app.command()
def publish(folder: Folder, version: Version = "", *, name: Name = "", as_json: Json = False) -> int:
    """Check a golden set, and publish it to the store."""
    asked = {
        "folder": str(folder.absolute()),
        "name": name or configuration.load().model.name,
        "version": version,
    }
    return run_to_its_end("publish-evaluation/on-demand", asked, as_json=as_json)


@app.command(name="list")
def list_versions(*, as_json: Json = False) -> None:
    """List the versions of the model's golden set, the newest first."""
    connection().export()
    from flows.explain import ask  # noqa: PLC0415  # it imports Prefect

    found = ask.golden_sets()
    if as_json:
        print_json({"model": found.name, "versions": found.versions, "newest": found.newest})
        return
    marks = {found.newest: "the next duel takes it"}
    rows = [(found.name, one, marks.get(one, "")) for one in found.versions]
    print_table(("MODEL", "GOLDEN SET", ""), rows)
