"""Why an environment runs what it runs, and why nothing newer does.

    python -m flows.explain production

Asked of its cluster, the registry, the repository, the model store and Prefect. One that does not answer is
named, and the rest is answered all the same.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from flows.core.errors import SettingsError
from flows.core.explain.live import explain
from flows.explain.collect import StatusCollector
from flows.services.models.transfer import no_progress
from flows.services.prefect.api import FlowRuns
from flows.services.process.command import silent
from flows.stages.context import opened


def answer(environment: str) -> str:
    """The sentences to print; an environment "" is the last of slipway.toml."""
    with FlowRuns() as runs, opened("why", silent, no_progress) as run:
        now = datetime.now(ZoneInfo(run.settings.timezone))
        name = environment or [*run.settings.environments][-1]
        return "\n".join(explain(StatusCollector(run, runs, now).standing(name)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the answer; exit status 2 for an environment that there is not, or wrong settings."""
    parser = ArgumentParser(prog="python -m flows.explain", description=__doc__)
    parser.add_argument("environment", nargs="?", default="", help="by default the last of slipway.toml")
    try:
        print(answer(parser.parse_args(arguments).environment))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
