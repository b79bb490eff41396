"""What releases and duels leave on Prefect's server for the next duel: variables, which runs can read without
access to any cluster."""

from prefect.variables import Variable

from flows.core.duel.duel import identity
from flows.core.duel.golden_set import GoldenSet
from flows.core.duel.live import LiveImage, variable_of
from flows.core.release.record import Record
from flows.runtime.artifacts import best_effort
from flows.services.prefect.api import translated_prefect_errors
from flows.stages.context import RunContext

GOLDEN_SETS = "slipway_golden_sets"
"""The golden set that the last duel of each model asked."""


def remember_live(run: RunContext, environment: str, record: Record) -> None:
    """Write which image is deployed there now; no release fails because of it."""
    name = variable_of(environment)
    live = LiveImage(record.image.digest, record.content.capsule)
    with best_effort(f"The variable {name}", run.say):
        Variable.set(name, live.to_json(), overwrite=True)
        run.say(f"The variable {name} says that {record.image.short} is live there, for the duels of CI.")


def recall_live(run: RunContext) -> LiveImage | None:
    """The image that is deployed in the last environment of slipway.toml; None before the first release.

    `PrefectUnavailable` where the server does not answer.
    """
    name = variable_of(list(run.settings.environments)[-1])
    with translated_prefect_errors():
        value = Variable.get(name)
    return LiveImage.parse(str(value), name=name) if value else None


def remember_golden_set(run: RunContext, golden: GoldenSet) -> str:
    """Note which golden set this duel asks; the one that the duel before asked, "" if there was none."""
    before = ""
    with best_effort(f"The variable {GOLDEN_SETS}", run.say):
        known = Variable.get(GOLDEN_SETS)
        known = dict(known) if isinstance(known, dict) else {}
        before = str(known.get(golden.name, ""))
        if before != identity(golden):
            Variable.set(GOLDEN_SETS, known | {golden.name: identity(golden)}, overwrite=True)
    return before
