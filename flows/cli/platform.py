"""The embedded platform: a program of its own, as the pipeline does not know where it is deployed."""

import os
import sys
from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from flows.cli.connection import URL
from flows.cli.options import Json
from flows.config.load import CHECKOUT, platform_file


class Sample(StrEnum):
    """The models that come with the project."""

    CLASSIFIER = "classifier"
    DIGITS = "digits"


Release = Annotated[
    bool,
    typer.Option("--release", help="Then build the newest commit and model, and release them everywhere."),
]

Model = Annotated[
    Sample | None,
    typer.Option(
        "--model",
        help="With --release: the sample model to serve, until another is named.",
    ),
]

Images = Annotated[
    bool,
    typer.Option(
        "--images", help="Also delete its images: the next `up` builds them from Debian's newest packages."
    ),
]


def up(release: Release = False, model: Model = None) -> NoReturn:
    """Bring up or repair the platform on this machine; what is up stays."""
    if model is not None and not release:
        raise typer.BadParameter("--model belongs to --release: it is published and built.")
    _hand_over("run" if release else "up", *(["--model", model] if model else []))


def down(images: Images = False) -> NoReturn:
    """Stop the platform. Its data and settings stay."""
    _hand_over("stop", *(["--images"] if images else []))


def clean() -> NoReturn:
    """Stop the platform, and delete its volumes, state and images."""
    _hand_over("clean")


def status(as_json: Json = False) -> None:
    """Show what is live where and, of the platform on this machine, which parts run."""
    if os.environ.get(URL) and not platform_file().exists():
        from flows.cli.explain import environments  # noqa: PLC0415  # the platform's own is quicker

        environments(as_json=as_json)
    else:
        _hand_over("status", *(["--json"] if as_json else []))


def _hand_over(*arguments: str) -> NoReturn:
    """Become that program: its output, its exit status and its Ctrl-C."""
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", "deployments.local", *arguments])  # noqa: S606  # no shell is wanted
