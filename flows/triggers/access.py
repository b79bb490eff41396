"""What the receiver judges deliveries by, read from settings and blocks once a minute.

So a block that somebody changes counts without a restart; a forged delivery costs Prefect nothing; and while
the server is away, deliveries can still be told from forgeries.
"""

import time
from dataclasses import dataclass, field
from threading import Lock

from flows import blocks
from flows import settings as configuration
from flows.core.errors import SettingsError, SlipwayError
from flows.core.model import Sighting
from flows.core.trigger import Rules
from flows.run import Run
from flows.services.command import Say
from flows.services.transfer import untold
from flows.triggers.flow_runs import FlowRuns, prefect_errors_told
from flows.triggers.start import Started, rules_of
from flows.triggers.together import Together

FRESH_FOR = 60.0
"""Seconds."""


@dataclass(frozen=True)
class Known:
    """Settings with their services, what is built, and the providers' secrets; None: no such block.

    `looks` and `starts` are what deliveries at the same time share: the wanted model, and a commit's run.
    """

    run: Run
    runs: FlowRuns
    rules: Rules
    github: str | None = field(repr=False)
    azure_devops: str | None = field(repr=False)
    looks: Together[Sighting] = field(default_factory=Together)
    starts: Together[Started] = field(default_factory=Together)


class Access:
    """What is known, at most a minute old unless it can't be read anew."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lock = Lock()
        self._known: Known | None = None
        self._read_at = 0.0

    def known(self) -> Known:
        """It; where it never could be read, the error that says why."""
        with self._lock:
            if self._known is None or time.monotonic() - self._read_at > FRESH_FOR:
                self._read()
            assert self._known is not None, "_read raises where it has nothing"
            return self._known

    def _read(self) -> None:
        try:
            self._known = _read(self._say)
        except SlipwayError as error:
            if self._known is None:
                raise
            self._say(f"Settings and blocks stay as they were a minute ago: {error}")
        self._read_at = time.monotonic()


def outside_run(name: str, say: Say) -> Run:
    """A run that is no flow run: the settings as they are now, and the services they name."""
    return Run(name, configuration.load(), configuration.state_folder(), say, untold)


def _read(say: Say) -> Known:
    run = outside_run("receiver", say)
    hooks = run.settings.hooks
    with prefect_errors_told():
        return Known(
            run,
            FlowRuns(),
            rules_of(run),
            _secret(hooks.github, "[hooks] github", say),
            _secret(hooks.azure_devops, "[hooks] azure_devops", say),
        )


def _secret(name: str, key: str, say: Say) -> str | None:
    try:
        return blocks.secret(name, key) or None
    except SettingsError as missing:
        say(f"Deliveries that need it are refused: {missing}")
        return None
