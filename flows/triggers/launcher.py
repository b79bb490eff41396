"""One CI run for each commit, model and new base image, no matter how often receiver and poller ask for it.

Prefect makes one run of one idempotency key, so receiver and poller need not know of each other, and keep
nothing: if either is killed, the same question gives the same run again. A run that a newer commit overtakes
is cancelled by the poller at the latest.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from flows.core.model.model import ModelVersionSeen
from flows.core.trigger.attempts import Tries
from flows.core.trigger.run_labels import TRIGGERED, base_tag, branch_tag, ci_name, commit_tag, model_tag
from flows.core.trigger.trigger import Rules, Wanted, identify, key
from flows.services.prefect.api import ACTIVE, FlowRuns
from flows.services.prefect.client import FlowRun
from flows.stages.context import RunContext

OVERTAKEN = "overtaken"
"""Tag of a run that was cancelled for a newer commit of its branch."""

OVERTAKEN_BY = "Overtaken by "
"""How the message of such a run's Cancelled state begins."""


@dataclass(frozen=True)
class Started:
    """The run of what is wanted, and whether it is `new`."""

    run: FlowRun
    link: str
    new: bool


def start(
    runs: FlowRuns, deployment: str, wanted: Wanted, model: ModelVersionSeen, again: str = ""
) -> Started:
    """The run that builds the commit with that model; a new one where `Tries` say so, as after a crash.

    `again` asks for one more run although one has ended, once for each reason. Runs of the branch that are
    under way for the commits before this one are cancelled, as `overtake` says: here, and not by the CI run
    itself, since the older ones may hold the places that it waits for. Errors as of `FlowRuns`.
    """
    counts, known = _that_counts(runs, wanted, model, again)
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


def _that_counts(
    runs: FlowRuns, wanted: Wanted, model: ModelVersionSeen, again: str
) -> tuple[str, FlowRun | None]:
    """The key that counts, and its run if there is one: the first after which no other run is due.

    Asked before anything else: most deliveries of a burst are for a run that is there.
    """
    tries = Tries()
    while True:
        one = key(wanted, model.token, tries, again)
        run = runs.with_key(one)
        if run is None:
            return one, None
        following = tries.after(run.state, run.state_name, run.since, datetime.now(UTC))
        if following is None:
            return one, run
        tries = following


def rules_of(run: RunContext) -> Rules:
    """What is built. `[hooks] repository` identifies the repository, if set: deliveries name it so."""
    source = run.settings.source
    repository = run.settings.hooks.repository or run.repository.url
    return Rules(identify(repository), source.branches, source.released_branch)


def tags_of(wanted: Wanted, model: ModelVersionSeen) -> tuple[str, ...]:
    """The tags by which its run is found."""
    what = (branch_tag(wanted.branch), commit_tag(wanted.sha), model_tag(model.name, model.version))
    base = (base_tag(wanted.base.reference),) if wanted.base else ()
    return (TRIGGERED, *what, *base)


def overtake(runs: FlowRuns, older: FlowRun, wanted: Wanted) -> None:
    """Cancel a run under way in favour of a newer commit of its branch, unless its image is on the way, or a
    person has retried it."""
    if not older.is_retried and not runs.has_pushed(older):
        runs.cancel(older, f"{OVERTAKEN_BY}{wanted.sha[:7]} on {wanted.branch}.", OVERTAKEN)


def _overtaken(runs: FlowRuns, deployment: str, wanted: Wanted) -> list[FlowRun]:
    """Runs under way for the head before this one, and for those that it had overtaken in turn.

    None for other commits: a delivery may come late, and what it announces is then the older one.
    """
    if not wanted.before:
        return []
    tags = (TRIGGERED, branch_tag(wanted.branch), commit_tag(wanted.before))
    return runs.with_tags(*tags, states=ACTIVE, deployment=deployment)
