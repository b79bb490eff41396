"""The command line `slipway`: what people do with the pipeline, by name.

Each command starts a Prefect deployment and follows it, or asks and prints. No decision is made here.
"""

import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from flows.cli import builds, doctor, evaluations, explain, models, platform, release, report, runs
from flows.core.errors import SettingsError, SlipwayError

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

Version = Annotated[bool, typer.Option("--version", help="Print the version and the commit.")]

app = typer.Typer(
    name="slipway",
    help="CI/CD for a model and its service: build, release, roll back, and see why.",
    epilog="Exit status: 0 done, or skipped with a reason; 1 failed; 2 usage or settings; 130 Ctrl-C.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

GROUPS: dict[str, tuple[Callable[..., object], ...]] = {
    "Releases": (release.release, release.rollback, release.hold, release.resume, release.verify),
    "Builds and models": (builds.ci,),
    "What is live, and why": (platform.status, explain.why, explain.history, doctor.doctor),
    "Runs": (runs.runs, runs.logs, report.report, runs.cancel, runs.approve, runs.refuse),
    "Platform on this machine": (platform.up, platform.down, platform.clean),
}
EPILOGS: dict[Callable[..., object], str] = {builds.ci: builds.CREDENTIALS}
for title, commands in GROUPS.items():
    for command in commands:
        app.command(rich_help_panel=title, epilog=EPILOGS.get(command))(command)
app.add_typer(models.app, rich_help_panel="Builds and models")
app.add_typer(evaluations.app, rich_help_panel="Builds and models")


@app.callback(invoke_without_command=True)
def slipway(context: typer.Context, version: Version = False) -> None:
    """Without a command: the version, or the help."""
    if version:
        from flows.config.version import commit, number  # noqa: PLC0415  # --help is quick

        print(f"slipway {number()} ({commit() or 'no commit'})")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main() -> NoReturn:
    """Exit with the command's status; an error is one line that says what to do."""
    status = _status()
    sys.stdout.flush()
    sys.exit(status)


def _status() -> int:
    try:
        return int(app(standalone_mode=False, prog_name="slipway") or DONE)
    except typer.TyperException as error:
        where = getattr(getattr(error, "ctx", None), "command_path", "slipway")
        return _explained(f"{error.format_message()} See: {where} --help", USAGE)
    except SlipwayError as error:
        return _explained(error.with_docs, USAGE if isinstance(error, SettingsError) else FAILED)
    except (KeyboardInterrupt, typer.Abort):
        return _explained("Interrupted.", INTERRUPTED)


def _explained(error: str, status: int) -> int:
    print(f"Error: {' '.join(error.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
