"""Puts [network] of slipway.toml in force, before a process makes its first client.

    python -m flows.config.network PROGRAM [ARGUMENTS]

runs a program that is not Slipway's own, such as Prefect's worker, in that network.
"""

import os
import sys

from flows.config import load as configuration
from flows.config.load import Settings
from flows.core.errors import SettingsError
from flows.services.process.network import NetworkSettings, set_in_this_process

NOT_FOUND = 127
"""The exit status of a program that is not there, as shells have it."""


def apply(settings: Settings) -> bool:
    """For all clients that this process makes from now on, and all programs that it starts; whether anything
    changed.

    `SettingsError` for a file of [network] that is missing or can't be used.
    """
    wanted = settings.network
    found = NetworkSettings(wanted.proxy, wanted.proxy_login, wanted.no_proxy, wanted.ca_bundle)
    return set_in_this_process(found, configuration.state_folder() / "network")


def apply_if_readable() -> None:
    """As `apply`, for a command that needs no settings; it does nothing while slipway.toml is damaged.

    `SettingsError` as of `apply`.
    """
    try:
        settings = configuration.load()
    except SettingsError:
        return
    apply(settings)


def enter(settings: Settings) -> None:
    """As `apply`, first of all in a program's `main`.

    Prefect reads the variables when it is imported. Where it has been, the program starts again, with them.
    """
    if apply(settings) and "prefect" in sys.modules:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # this same command


def main(command: list[str]) -> int:
    """Become that program; exit status 2 for wrong settings, 127 where there is no such program."""
    if not command:
        print("Usage: python -m flows.config.network PROGRAM [ARGUMENTS]", file=sys.stderr)
        return 2
    try:
        apply(configuration.load())
        os.execvp(command[0], command)  # noqa: S606  # what the caller asked for
    except SettingsError as error:
        print(error.with_docs, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The program {command[0]!r} can't be run: {error.strerror}.", file=sys.stderr)
        return NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
