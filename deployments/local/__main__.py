"""The platform on this machine: bring it up and put it to work, end it, delete it, look at it."""

import os
import shlex
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console

from deployments.local.instance import Instance
from deployments.local.platform_file import SAMPLES, WrittenSettings
from flows.config import load as configuration
from flows.config import network
from flows.config.load import CHECKOUT, Settings
from flows.core.errors import SettingsError, SlipwayError
from flows.services.process import temporary

SETTINGS_WRONG, FAILED, INTERRUPTED = 2, 1, 130


@click.group(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Entry point."""


@main.command()
@click.option("--model", type=click.Choice(SAMPLES), help="The sample model to serve from now on.")
def run(model: str | None) -> None:
    """Bring up or repair the platform, then: newest commit and model -> image -> release -> answer.

    What is up already stays; what is built and released already is not built or released again.
    """
    from deployments.local.commands.run import run_everything  # noqa: PLC0415  # --help and wrong settings are quick

    written = _written()
    run_everything(_instance(written), written, model)


@main.command()
def up() -> None:
    """Bring up or repair the platform, and start nothing on it."""
    from deployments.local.commands.run import bring_up  # noqa: PLC0415  # as above

    written = _written()
    bring_up(_instance(written), written)


@main.command()
def build() -> None:
    """Build what the platform is made of: images, and Kubernetes. `run` does that too, when it is missing."""
    from deployments.local.commands.run import build_everything  # noqa: PLC0415  # as above

    written = _written()
    build_everything(_instance(written), written)


@main.command()
@click.option("--images", is_flag=True, help="Also delete the images that are built on this machine.")
def stop(images: bool) -> None:
    """End the platform's processes and containers. Data and settings stay."""
    from deployments.local.commands.stop import stop_platform  # noqa: PLC0415  # as above

    stop_platform(_instance(configuration.load()), Console(highlight=False), with_images=images)


@main.command()
def clean() -> None:
    """Stop, and delete the platform's volumes, state and images, and nothing else.

    The compiled Kubernetes, which all checkouts of this machine share, stays.
    """
    from deployments.local.commands.stop import clean_platform  # noqa: PLC0415  # as above

    clean_platform(_instance(configuration.load()), Console(highlight=False))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Addresses and what is live, for programs.")
def status(as_json: bool) -> None:
    """Show what of the platform runs, and what is live where."""
    from deployments.local.commands import status as state  # noqa: PLC0415  # as above

    settings = configuration.load()
    found = state.read(_instance(settings), settings)
    if as_json:
        click.echo(found.to_json())
    else:
        state.show(_instance(settings), found, Console(highlight=False))


@main.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path | None) -> None:
    """Write Prefect's database, the platform's secrets and the release records into one file."""
    from deployments.local.commands.backup import back_up  # noqa: PLC0415  # as above

    settings = configuration.load()
    back_up(_instance(settings), settings, file, Console(highlight=False, soft_wrap=True))


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Fill an empty platform with what `backup` has written, and bring it up."""
    from deployments.local.commands import restore as restoring  # noqa: PLC0415  # as above

    written = _written()
    restoring.restore(_instance(written), written, file, Console(highlight=False, soft_wrap=True))


@main.command()
def variables() -> None:
    """Print the credentials of this platform, as `slipway ci --local` takes them.

    Secrets, for a shell to read: eval "$(python -m deployments.local variables)"
    """
    from deployments.local.commands import variables as credential_variables  # noqa: PLC0415  # as above

    for name, value in credential_variables.of(_instance(configuration.load())).items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _written() -> WrittenSettings:
    """The settings, with [network] in force for this process and for what it starts, such as the worker."""
    written = configuration.load_as(WrittenSettings)
    network.apply(written)
    return written


def _instance(settings: Settings) -> Instance:
    return Instance(settings.embedded.name, CHECKOUT, configuration.state_folder(), settings.embedded)


def _run_to_the_end() -> NoReturn:
    """Exit at once, whatever threads of abandoned steps still wait for: nothing they do matters any more."""
    temporary.sweep()
    try:
        main(standalone_mode=False)
        code = 0
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SlipwayError as error:
        click.echo(f"Error: {error.with_docs}", err=True)
        code = SETTINGS_WRONG if isinstance(error, SettingsError) else FAILED
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. What is up stays up: `make run` goes on from there.", err=True)
        code = INTERRUPTED
    sys.stdout.flush()
    sys.stderr.flush()
    temporary.delete_own()
    os._exit(code)


if __name__ == "__main__":
    _run_to_the_end()
