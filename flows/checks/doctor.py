"""All checks of the doctor, in the order of their rows."""

from collections.abc import Iterator

from flows.checks import nodes
from flows.checks.check import WITHIN, Check, run_all
from flows.checks.environments import EnvironmentChecks
from flows.checks.nodes import NodeChecks
from flows.checks.prefect_server import PrefectChecks
from flows.checks.reaching import ClockOffsets
from flows.checks.systems import SystemChecks
from flows.config.load import config_file
from flows.core.doctor.clock import clock
from flows.core.doctor.finding import Finding, not_checked
from flows.core.errors import SettingsError
from flows.credentials import prefect_blocks
from flows.services.models.transfer import no_progress
from flows.services.process.command import silent
from flows.stages.context import RunContext, opened

SETTINGS = "settings"
READ = "read slipway.toml, what the embedded platform adds, and SLIPWAY_* variables"


def look(no_server: SettingsError | None = None, *, attach: bool = False) -> list[Finding]:
    """The rows, as a command of this machine; wrong settings are a row too. `no_server` says why the command
    has no server of Prefect's.

    With `attach`, nodes pull an image, which takes minutes; `context` has to be an administrator's.
    """
    try:
        with opened("doctor", silent, no_progress, prefect_blocks) as run:
            found = look_with(run, no_server=no_server)
            return [*found, *run_all(list(NodeChecks(run).all()), nodes.WITHIN)] if attach else found
    except SettingsError as error:
        wrong = Finding(SETTINGS, "failed", error.happened, READ, error.remedy)
        return [wrong, not_checked("all else", f"{SETTINGS} are not in order")]


def look_with(
    run: RunContext, within: float = WITHIN, no_server: SettingsError | None = None
) -> list[Finding]:
    """The rows, with the clients of a run; none takes longer than `within` seconds."""
    offsets: ClockOffsets = {}
    names = ", ".join(run.settings.environments)
    settings = Finding(SETTINGS, "ok", f"{config_file()} is in order; environments: {names}.", READ)
    rows = run_all(list(_checks(run, offsets, no_server)), within)
    return [settings, *rows, clock(dict(offsets))]


def _checks(run: RunContext, offsets: ClockOffsets, no_server: SettingsError | None) -> Iterator[Check]:
    yield from PrefectChecks(run.settings, offsets, no_server).all()
    yield from SystemChecks(run, offsets).all()
    for name in run.settings.environments:
        yield from EnvironmentChecks(run, name, offsets).all()
