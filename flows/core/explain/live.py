"""Why an environment runs what it runs, and why nothing newer: facts in, sentences out."""

from flows.core.explain.blockers import left_open, waiting
from flows.core.explain.status import Away, DeploymentStatus
from flows.core.release import record as records
from flows.core.release.decision import EnvironmentSnapshot, Observed
from flows.core.release.record import Record

INDENT = "  "


def explain(standing: DeploymentStatus) -> list[str]:
    """The lines to print: what is live, what is newer and what keeps it, and what could not be asked."""
    lines = _live(standing)
    if newer := waiting(standing):
        lines += ["Newer, and not live:", *(INDENT + line for line in newer)]
    elif not standing.away:
        lines.append("There is nothing newer: neither a commit, nor a model, nor an image.")
    if standing.away:
        lines.append("Not everything is known:")
        lines += [f"{INDENT}{away.system} could not be asked: {away.because}" for away in standing.away]
    return lines


def _live(standing: DeploymentStatus) -> list[str]:
    here = standing.here
    if isinstance(here.situation, Away):
        return [f"What is live in {here.name} is not known."]
    situation = here.situation
    recorded = records.live(situation.history)
    if recorded is None:
        lines = [_unrecorded(here.name, situation)]
    else:
        lines = [
            f"{here.name} runs {recorded.content}, as release {recorded.number}, "
            f"since {standing.time(recorded.good_since or recorded.started)}.",
            f"{INDENT}{_asked(recorded)}",
            *(INDENT + line for line in _spoiled(recorded, situation.live)),
        ]
        if address := standing.link(recorded.run):
            lines.append(f"{INDENT}Its run: {address}")
    if hold := situation.notes.hold:
        lines.append(
            f"{INDENT}It is {hold.as_text(standing.now.tzinfo)}. It lasts until `resume`, or until a person "
            "releases something newer."
        )
    if (pending := records.pending(situation.history)) is not None:
        lines.append(INDENT + left_open(pending, standing))
    return lines


def _unrecorded(name: str, situation: EnvironmentSnapshot) -> str:
    if situation.live is not None:
        return f"{name} runs {situation.live.image}, which was not released by this pipeline."
    last = next(iter(records.newest_first(situation.history)), None)
    if last is None or last.verdict == "pending":
        return f"Nothing is live in {name}: nothing was released there yet."
    return f"Nothing is live in {name}: {last} ended as {last.ending}."


def _asked(record: Record) -> str:
    because = f": {record.asked_for}" if record.asked_for else ""
    return f"Asked for by {record.asked_by}{because}."


def _spoiled(recorded: Record, live: Observed | None) -> list[str]:
    """What of it is not as it was recorded."""
    lines = [f"It is degraded, as a later check failed: {recorded.degraded}"] if recorded.degraded else []
    if live is None:
        return [*lines, "Its Deployment was deleted."]
    if live.image.digest != recorded.image.digest:
        return [*lines, f"It was changed by hand: the cluster runs {live.image}."]
    if not live.settled:
        lines.append("Its last rollout has not ended well.")
    elif not live.whole:
        lines.append("Its replicas are not all ready at the moment.")
    return lines
