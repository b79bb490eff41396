"""The duel of a run of ci: held before `latest` moves, or because a person asked for it."""

from dataclasses import dataclass, replace

from flows.core.build.image import Image
from flows.core.build.report import CiReport
from flows.core.duel.duel import Duel, NoDuel, forced_past, golden_set_changed, kept_because
from flows.core.errors import SlipwayError
from flows.runtime import artifacts, duel_memory, tasks
from flows.stages.ci import Inputs
from flows.stages.context import RunContext
from flows.stages.duel import HeldDuel


@dataclass(frozen=True)
class DuelRequest:
    """What a person asked for: `against` names another image than what is live, `force` is a reason for which
    `latest` moves whatever the verdict is; "" for neither."""

    against: str = ""
    force: str = ""


def duel(run: RunContext, inputs: Inputs, image: Image, report: CiReport, request: DuelRequest) -> str:
    """Compare the image with what is live, and report it; why `latest` stays because of that, else "".

    Errors as of the stages: a golden set that can't be used ends the run, so that none is passed over.
    """
    settings, against = run.settings.duel, request.against
    live = duel_memory.recall_live(run) if settings is not None and not against else None
    opponents = tasks.find_opponents(run, inputs, image, live, against)
    held = opponents if isinstance(opponents, NoDuel) else tasks.hold_duel(run, inputs, opponents)
    if isinstance(held, NoDuel) or settings is None:
        report.duel = str(held)
        return ""
    golden = held.duel.golden
    held = with_note(held, golden_set_changed(duel_memory.remember_golden_set(run, golden), golden))
    report.duel = str(held.duel)
    report.forced = forced_past(held.duel, settings.keeping, request.force)
    kept = kept_because(held.duel, settings.keeping, request.force)
    publish(run, held, decision_of(kept, report.forced))
    return kept


def with_note(held: HeldDuel, note: str) -> HeldDuel:
    """The same with one more note, if there is one."""
    if not note:
        return held
    noted: Duel = replace(held.duel, notes=(*held.duel.notes, note))
    return replace(held, duel=noted)


def decision_of(kept: str, forced: str) -> str:
    """What the duel does to `latest`."""
    if kept:
        return "stays because of the verdict"
    return forced or "the verdict does not keep it"


def publish(run: RunContext, held: HeldDuel, decision: str) -> None:
    """Write the artifact, and keep the file; no run fails because of either."""
    artifacts.publish_duel(run, held, decision)
    try:
        tasks.keep_duel_report(run, held, decision)
    except SlipwayError as error:
        run.say(f"The report of the duel was not kept, which nothing depends on: {error}")
