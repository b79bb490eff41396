"""Why an environment runs what it runs, and why nothing newer: facts in, sentences out."""

from flows.core.explain.blockers import left_open, waiting
from flows.core.explain.status import Away, DeploymentStatus
from flows.core.release import record as records
from flows.core.release.decision import EnvironmentSnapshot, Observed
from flows.core.release.record import Record

INDENT = "  "


def explain(status: DeploymentStatus) -> list[str]:
    """The lines to print: what is live, what is newer and why it is not live, and what could not be asked."""
    lines = _live(status)
    if newer := waiting(status):
        lines += ["Newer, and not live:", *(INDENT + line for line in newer)]
    elif not status.away:
        lines.append("There is nothing newer: neither a commit, nor a model, nor an image, nor manifests.")
    if status.away:
        lines.append("Not everything is known:")
        lines += [f"{INDENT}{away.system} could not be asked: {away.because}" for away in status.away]
    return lines


def _live(status: DeploymentStatus) -> list[str]:
    here = status.here
    if isinstance(here.snapshot, Away):
        return [f"What is live in {here.name} is not known."]
    snapshot = here.snapshot
    recorded = records.live(snapshot.history)
    if recorded is None:
        lines = [_unrecorded(here.name, snapshot)]
    else:
        lines = [
            f"{here.name} runs {recorded.content}, as release {recorded.number}, "
            f"since {status.time(recorded.good_since or recorded.started)}.",
            f"{INDENT}{_asked(recorded)}",
            *(INDENT + line for line in _deviations(recorded, snapshot.live)),
        ]
        if halves := recorded.content.halves:
            lines.append(f"{INDENT}Its halves: {halves}.")
        if recorded.forced:
            lines.append(f"{INDENT}Its image became latest {recorded.forced.rstrip('.')}.")
        if recorded.source:
            lines.append(f"{INDENT}Its manifests: {recorded.source}.")
        if address := status.link(recorded.run):
            lines.append(f"{INDENT}Its run: {address}")
    if hold := snapshot.notes.hold:
        lines.append(
            f"{INDENT}It is {hold.as_text(status.now.tzinfo)}. It lasts until `resume`, or until a person "
            "releases something newer."
        )
    if (pending := records.pending(snapshot.history)) is not None:
        lines.append(INDENT + left_open(pending, status))
    return lines


def _unrecorded(name: str, snapshot: EnvironmentSnapshot) -> str:
    if snapshot.live is not None:
        return f"{name} runs {snapshot.live.image}, which was not released by this pipeline."
    last = next(iter(records.newest_first(snapshot.history)), None)
    if last is None or last.verdict == "pending":
        return f"Nothing is live in {name}: nothing was released there yet."
    return f"Nothing is live in {name}: {last} ended as {last.ending}."


def _asked(record: Record) -> str:
    because = f": {record.asked_for}" if record.asked_for else ""
    return f"Asked for by {record.asked_by}{because}."


def _deviations(recorded: Record, live: Observed | None) -> list[str]:
    """How the live release differs from its record, or is degraded."""
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
