"""Arguments and options that several commands have."""

import subprocess
from typing import Annotated

import typer

from flows.core.errors import SettingsError

NO_REASON = "no reason given"


def environment_names(incomplete: str) -> list[str]:
    """Those of slipway.toml that begin so, for the shell's completion."""
    from flows.config import load as configuration  # noqa: PLC0415  # --help is quick

    try:
        names = configuration.load().environments
    except SettingsError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def known_environment(name: str) -> str:
    """That name; `SettingsError` lists those of slipway.toml."""
    from flows.config import load as configuration  # noqa: PLC0415  # as above

    settings = configuration.load()
    if name != configuration.EVERY:
        settings.environment(name)
    return name


def requester(given: str) -> str:
    """Who asks: the name that was given, else git's user.name; "" where git knows none."""
    if given:
        return given
    found = subprocess.run(
        ["git", "config", "--get", "user.name"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


Env = Annotated[
    str,
    typer.Argument(help="An environment of slipway.toml.", autocompletion=environment_names),
]
EnvOption = Annotated[
    str, typer.Option("--env", help="Only of this environment.", autocompletion=environment_names)
]
RunId = Annotated[str, typer.Argument(help="A run: its id, the end of it, or the address of its page.")]
Reason = Annotated[str, typer.Option("--reason", help="Why. It is recorded and shown to others.")]
By = Annotated[str, typer.Option("--by", help="Who asks.", show_default="git's user.name")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
