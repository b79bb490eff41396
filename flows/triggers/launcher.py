"""One CI run for each commit and model, no matter how often receiver and poller ask for it.

Prefect makes one run of one idempotency key, so receiver and watch need not know of each other, and keep
nothing: whatever is killed in between, the same question gives the same run. What is cancelled for a new run
is cancelled by the watch at the latest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flows.core.model.model import ModelVersionSeen
from flows.core.trigger.run_labels import TRIGGERED, branch_tag, ci_name, commit_tag, model_tag
from flows.core.trigger.trigger import MAX_ATTEMPTS, Rules, Wanted, identify, key
from flows.services.prefect.api import ACTIVE, FlowRuns
from flows.services.prefect.client import FlowRun
from flows.stages.context import RunContext

OVERTAKEN = "overtaken"
"""Tag of a run that was cancelled for a newer commit of its branch."""


@dataclass(frozen=True)
class Started:
    """The run of what is wanted, and whether it is `new`."""

    run: FlowRun
    link: str
    new: bool


def start(
    runs: FlowRuns, deployment: str, wanted: Wanted, model: ModelVersionSeen, again: str = ""
) -> Started:
    """The run that builds the commit with that model; after a crash, up to `MAX_ATTEMPTS`, a new one.

    `again` asks for one more run although one has ended, once for each reason. Runs of the branch that are
    under way for the commits before this one are overtaken (see there). Here, and not in the
    CI run itself, since the older ones may hold the places that it waits for. Errors as of `FlowRuns`.
    """
    keys = [key(wanted, model.token, attempt, again) for attempt in range(1, MAX_ATTEMPTS + 1)]
    counts, known = _that_counts(runs, keys)
    if known is not None:
        return Started(known, runs.link(known.id), new=False)
    superseded = _overtaken(runs, deployment, wanted)
    oldest = next((str(run.parameters["since"]) for run in superseded if run.parameters.get("since")), "")
    parameters = {"ref": wanted.sha, "branch": wanted.branch, "since": oldest or wanted.before}
    name = ci_name(f"{wanted.sha[:7]} + {model}", wanted.branch)
    run, new = runs.create(deployment, counts, parameters, tags_of(wanted, model), name)
    if new:
        for older in superseded:
            overtake(runs, older, wanted)
    return Started(run, runs.link(run.id), new)


def _that_counts(runs: FlowRuns, keys: Sequence[str]) -> tuple[str, FlowRun | None]:
    """The key that counts, and its run if there is one: the first whose run did not crash, or else the last.

    Asked before anything else: most deliveries of a burst are for a run that is there.
    """
    for one in keys[:-1]:
        run = runs.with_key(one)
        if run is None or run.state != "CRASHED":
            return one, run
    return keys[-1], runs.with_key(keys[-1])


def rules_of(run: RunContext) -> Rules:
    """What is built; the repository is identified by what deliveries call it, where that is set."""
    source = run.settings.source
    repository = run.settings.hooks.repository or run.repository.url
    return Rules(identify(repository), source.branches, source.released_branch)


def tags_of(wanted: Wanted, model: ModelVersionSeen) -> tuple[str, ...]:
    """What its run is found by."""
    what = (branch_tag(wanted.branch), commit_tag(wanted.sha), model_tag(model.name, model.version))
    return (TRIGGERED, *what)


def overtake(runs: FlowRuns, older: FlowRun, wanted: Wanted) -> None:
    """Cancel a run under way in favour of a newer commit of its branch, unless its image is on the way, or a
    person has retried it."""
    if not older.is_retried and not runs.has_pushed(older):
        runs.cancel(older, f"Overtaken by {wanted.sha[:7]} on {wanted.branch}.", OVERTAKEN)


def _overtaken(runs: FlowRuns, deployment: str, wanted: Wanted) -> list[FlowRun]:
    """Runs under way for the head before this one, and for those that it had overtaken in turn.

    None for other commits: a delivery may come late, and what it announces is then the older one.
    """
    if not wanted.before:
        return []
    tags = (TRIGGERED, branch_tag(wanted.branch), commit_tag(wanted.before))
    return runs.with_tags(*tags, states=ACTIVE, deployment=deployment)
