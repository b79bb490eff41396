"""The settings and blocks that the receiver judges deliveries by, read again for one delivery a minute.

So a changed block counts without a restart. A forged delivery costs Prefect nothing, unless it is the one for
which blocks are read. While the server is away or hangs, the values from before are used, and only that one
delivery waits.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

from flows.config import load as configuration
from flows.config import network
from flows.core.errors import SettingsError, SlipwayError
from flows.core.model.model import ModelVersionSeen
from flows.core.trigger.trigger import Rules
from flows.credentials import prefect_blocks
from flows.services.models.transfer import no_progress
from flows.services.prefect.api import FlowRuns, translated_prefect_errors
from flows.services.process.command import Say
from flows.stages.context import RunContext
from flows.triggers.launcher import Started, rules_of
from flows.triggers.single_flight import SingleFlight
from flows.triggers.stability import StabilityCheck

FRESH_FOR = 60.0
"""Seconds after which settings and blocks are read again."""

SAME_FOR = 1.0
"""Seconds for which a known run is returned again. If it crashes meanwhile, the poller starts another one."""


@dataclass(frozen=True)
class BurstCache:
    """What deliveries share: the look at the wanted model, whether it is whole, a commit's run."""

    looks: SingleFlight[ModelVersionSeen] = field(default_factory=SingleFlight)
    steady: StabilityCheck = field(default_factory=StabilityCheck)
    starts: SingleFlight[Started] = field(default_factory=lambda: SingleFlight(SAME_FOR))


@dataclass(frozen=True)
class WebhookConfig:
    """Settings with their services, what is built, and the providers' secrets; None where there is no block.

    `shared` outlasts them: a burst may come while they are read again.
    """

    run: RunContext
    runs: FlowRuns
    rules: Rules
    shared: BurstCache
    github: str | None = field(repr=False)
    azure_devops: str | None = field(repr=False)


class ConfigCache:
    """The values of the last reading, at most a minute old unless they cannot be read again."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._shared = BurstCache()
        self._refreshing = Lock()
        self._first: SingleFlight[WebhookConfig] = SingleFlight()
        self._known: WebhookConfig | None = None
        self._runs: FlowRuns | None = None
        self._read_at = 0.0

    def get(self) -> WebhookConfig:
        """The values; raises the reading's error where there are none from before."""
        known = self._known
        if known is None:
            known, _ = self._first.ask("settings and blocks", self._read)
        elif time.monotonic() - self._read_at > FRESH_FOR and self._refreshing.acquire(blocking=False):
            try:
                known = self._refreshed(known)
            finally:
                self._refreshing.release()
        return known

    def _refreshed(self, known: WebhookConfig) -> WebhookConfig:
        try:
            return self._read()
        except SlipwayError as error:
            self._say(f"Could not reload settings and blocks; using those from before: {error}")
            self._read_at = time.monotonic()
            return known

    def _read(self) -> WebhookConfig:
        self._runs = self._runs or FlowRuns()  # one for all deliveries, as long as this process
        self._known = known = _read(self._say, self._shared, self._runs)
        self._read_at = time.monotonic()
        return known


def outside_run(name: str, say: Say) -> RunContext:
    """A run that is no flow run: the settings as they are now, and the services they name."""
    settings = configuration.load()
    network.apply(settings)
    return RunContext(name, settings, configuration.state_folder(), say, no_progress, prefect_blocks)


def _read(say: Say, shared: BurstCache, runs: FlowRuns) -> WebhookConfig:
    run = outside_run("receiver", say)
    hooks = run.settings.hooks
    with translated_prefect_errors():
        known = WebhookConfig(
            run,
            runs,
            rules_of(run),
            shared,
            _secret(hooks.github, "[hooks] github", say),
            _secret(hooks.azure_devops, "[hooks] azure_devops", say),
        )
        with suppress(SettingsError):  # a forgery need not know; a delivery that needs a model raises it
            _ = run.models
    return known


def _secret(name: str, key: str, say: Say) -> str | None:
    try:
        return prefect_blocks.secret(name, key) or None
    except SettingsError as missing:
        say(f"Deliveries that need it are refused: {missing}")
        return None
