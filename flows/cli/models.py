"""Models: published to the store, listed, and pinned for the images that follow."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.connection import connection
from flows.cli.follow import run_to_its_end
from flows.cli.options import Json
from flows.cli.output import print_json, print_table
from flows.config import load as configuration

app = typer.Typer(name="model", help="Publish, list and pin models.")

File = Annotated[
    Path,
    typer.Argument(
        help="The ONNX file with manifest.json beside it, or the folder of both; the worker reads it."
    ),
]
NewVersion = Annotated[str, typer.Argument(help="A new version: a published one never changes.")]
Name = Annotated[str, typer.Option("--name", help="The model.", show_default="[model] name")]
KnownVersion = Annotated[str, typer.Argument(help="A published version; see `slipway model list`.")]
Ref = Annotated[
    str, typer.Option("--ref", help="The commit to build with it.", show_default="the repository's HEAD")
]


@app.command()
def publish(file: File, version: NewVersion, *, name: Name = "", as_json: Json = False) -> int:
    """Check a model, and publish it to the store."""
    asked = {
        "file": str(file.absolute()),
        "name": name or configuration.load().model.name,
        "version": version,
    }
    return run_to_its_end("publish-model/on-demand", asked, as_json=as_json)


@app.command(name="list")
def list_versions(*, as_json: Json = False) -> None:
    """List the model's versions, the newest first."""
    connection().export()
    from flows.explain import ask  # noqa: PLC0415  # it imports Prefect

    found = ask.models()
    if as_json:
        content = {
            "model": found.name,
            "versions": found.versions,
            "wanted": found.wanted,
            "pinned": found.pinned,
        }
        print_json(content)
        return
    marks = {found.wanted: "the next image gets it"}
    if found.pinned:
        marks[found.pinned] = "pinned: the next image gets it"
    print_table(("MODEL", "VERSION", ""), [(found.name, one, marks.get(one, "")) for one in found.versions])


@app.command()
def pin(version: KnownVersion, *, ref: Ref = "HEAD", as_json: Json = False) -> int:
    """Build with that version, and keep to it in all later images until `unpin`."""
    return run_to_its_end("ci/commit", {"ref": ref, "model": version}, as_json=as_json)


@app.command()
def unpin(*, ref: Ref = "HEAD", as_json: Json = False) -> int:
    """Build with the newest version, and with the newest in all later images."""
    return run_to_its_end("ci/commit", {"ref": ref, "model": "newest"}, as_json=as_json)
