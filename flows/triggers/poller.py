"""Compares what is wanted with what is built, every minute, and starts the CI runs that are missing.

    python -m flows.triggers.poller

Wanted are the newest commits of the branches that are built, as the remote lists them, with the wanted model,
as the store names it, and on the released branch with the base image, as its registry names it. What it
remembers between two looks only spares questions: a poller that is killed loses nothing.
"""

import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event
from types import FrameType

from flows.config import load as configuration
from flows.config import network
from flows.core.build.image import familiar
from flows.core.build.latest import LatestPointer
from flows.core.errors import SettingsError, SlipwayError, TransientError
from flows.core.model.model import ModelVersionSeen
from flows.core.trigger.run_labels import TRIGGERED, branch_tag, commit_tag, model_tag
from flows.core.trigger.trigger import Wanted
from flows.services.prefect.api import ACTIVE, FlowRuns, translated_prefect_errors
from flows.services.prefect.client import FlowRun
from flows.services.process.command import Say, silent
from flows.stages.context import RunContext
from flows.triggers.base_image import BaseImageCache
from flows.triggers.launcher import OVERTAKEN, OVERTAKEN_BY, overtake, rules_of, start
from flows.triggers.stuck_pending import PendingReaper
from flows.triggers.webhook_config import outside_run

REMOTE_TIMEOUT = 30
"""Seconds for a list of branches."""


@dataclass
class Watch:
    """What the poller remembers; `say` takes each run that it starts, and each problem once."""

    say: Say
    _heads: dict[str, str] = field(default_factory=dict)
    _seen: ModelVersionSeen | None = None
    _built: set[tuple[str, str]] = field(default_factory=set)
    _base_image: BaseImageCache = field(default_factory=BaseImageCache)
    _complaint: object = None

    def __post_init__(self) -> None:
        self._not_begun = PendingReaper(self.say)

    def look(self) -> None:
        """Start what is missing. A problem is logged when it appears and when it has passed."""
        try:
            self._look()
        except SlipwayError as error:
            # what is away words it differently each time
            self._complain(type(error) if isinstance(error, TransientError) else str(error), str(error))
        except Exception as error:  # a fault of ours at something that was read must not end the poller
            self._complain(repr(error), "".join(traceback.format_exception(error)).strip())
        else:
            if self._complaint is not None:
                self.say("The problem has passed.")
            self._complaint = None

    def _complain(self, complaint: object, text: str) -> None:
        if self._complaint != complaint:
            self.say(f"Warning: {text} The poller goes on looking.")
        self._complaint = complaint

    def _look(self) -> None:
        run = outside_run("watch", silent)
        with FlowRuns() as runs:
            deployment = run.settings.watch.deployment
            self._not_begun.give_up(runs, deployment, run.settings.runs.begin_within)
            # asked for before the heads: what is started while those are looked up may be for a newer one
            under_way = runs.with_tags(TRIGGERED, states=ACTIVE, deployment=deployment)
            self._start_missing(run, runs, under_way)

    def _start_missing(self, run: RunContext, runs: FlowRuns, under_way: Sequence[FlowRun]) -> None:
        with translated_prefect_errors():
            repository, models = replace(run.repository, timeout=REMOTE_TIMEOUT), run.models
            heads = repository.heads()
        model = self._whole(models.peek(run.settings.model.name))
        if model is None:
            return
        rules, latest = rules_of(run), None
        for branch in sorted(filter(rules.builds, heads)):
            wanted = Wanted(rules.repository, branch, heads[branch], self._before(branch, heads))
            released = branch == rules.released_branch
            if released:
                latest = self._ensure_released(run, runs, wanted, model)
            else:
                self._ensure_other(run, runs, wanted, model)
            self._heads[branch] = wanted.sha
            overtake_others(runs, under_way, wanted, model if released else None)
        if rules.released_branch not in heads:
            raise SettingsError(
                f"{run.repository.url} has no branch {rules.released_branch}.",
                "Push it, or name another at [source] released_branch.",
            )
        if latest is not None:  # at the end: a base image that can't be asked for delays no commit
            wanted = Wanted(rules.repository, rules.released_branch, latest.content.commit)
            self._ensure_base(run, runs, wanted, model, latest)

    def _whole(self, seen: ModelVersionSeen) -> ModelVersionSeen | None:
        """The model; None for a plain file that changed since the last look: its upload may not be over."""
        before, self._seen = self._seen, seen
        return seen if seen.settled or seen == before else None

    def _before(self, branch: str, heads: dict[str, str]) -> str:
        before = self._heads.get(branch, "")
        return "" if before == heads[branch] else before

    def _ensure_released(
        self, run: RunContext, runs: FlowRuns, wanted: Wanted, model: ModelVersionSeen
    ) -> LatestPointer | None:
        """Start a run unless `latest` names that commit and model: then, it is returned.

        Earlier runs do not count: what they built may have been replaced since.
        """
        with translated_prefect_errors():
            latest = run.registry.pointer()
        if names(latest, wanted, model):
            return latest
        if not wanted.before and latest is not None and latest.content.commit != wanted.sha:
            wanted = replace(wanted, before=latest.content.commit)
        found = self._in_force(run, runs, wanted, model)
        if found.state == "COMPLETED":
            latest = run.registry.pointer()  # it may have moved since
            if not names(latest, wanted, model):
                self._in_force(run, runs, wanted, model, f"after-{latest.run if latest else 'none'}")
        return None

    def _ensure_base(
        self, run: RunContext, runs: FlowRuns, wanted: Wanted, model: ModelVersionSeen, latest: LatestPointer
    ) -> None:
        """One more run where `latest` was made from another base image than its registry names now."""
        base = self._base_image.get(run.settings.app.base_image, latest.run, run.base_image)
        if base.reference != latest.content.base_digest:
            self._in_force(run, runs, replace(wanted, base=base), model, f"after-{latest.run}")

    def _ensure_other(self, run: RunContext, runs: FlowRuns, wanted: Wanted, model: ModelVersionSeen) -> None:
        """Build each commit once, with the model of its time: a new one is for the released branch alone."""
        if (wanted.branch, wanted.sha) in self._built:
            return
        tags = (TRIGGERED, branch_tag(wanted.branch), commit_tag(wanted.sha))
        found = runs.with_tags(*tags, deployment=run.settings.watch.deployment)
        latest = found[-1] if found else None
        if latest is None or latest.state == "CRASHED" or was_overtaken(runs, latest):
            latest = self._in_force(run, runs, wanted, model)
        if latest.state in {"COMPLETED", "FAILED"}:
            self._built.add((wanted.branch, wanted.sha))

    def _in_force(
        self, run: RunContext, runs: FlowRuns, wanted: Wanted, model: ModelVersionSeen, again: str = ""
    ) -> FlowRun:
        """Its run. A superseded run gets a successor, because its commit is the branch's head again."""
        found = self._start(run, runs, wanted, model, again)
        while was_overtaken(runs, found):
            found = self._start(run, runs, wanted, model, f"after-{found.id}")
        return found

    def _start(
        self, run: RunContext, runs: FlowRuns, wanted: Wanted, model: ModelVersionSeen, again: str
    ) -> FlowRun:
        started = start(runs, run.settings.watch.deployment, wanted, model, again)
        if started.new:
            self.say(f"{wanted.branch} {wanted.sha[:7]} + {model}: started {started.link}{because(wanted)}")
        return started.run


def because(wanted: Wanted) -> str:
    """The reason, where it is neither commit nor model."""
    if wanted.base is None:
        return ""
    return f" because base image {familiar(wanted.base)} has a new digest, {wanted.base.reference[:19]}"


def overtake_others(
    runs: FlowRuns, under_way: Sequence[FlowRun], wanted: Wanted, model: ModelVersionSeen | None
) -> None:
    """Cancel those of the branch that are for another commit than is wanted now, or another model, if that
    counts for the branch."""
    now_wanted = {commit_tag(wanted.sha)} | ({model_tag(model.name, model.version)} if model else set())
    for one in under_way:
        if branch_tag(wanted.branch) in one.tags and not now_wanted <= set(one.tags):
            overtake(runs, one, wanted)


def names(latest: LatestPointer | None, wanted: Wanted, model: ModelVersionSeen) -> bool:
    """Whether `latest` is made from that commit and that model, of which a plain file has no digest yet."""
    if latest is None or latest.content.commit != wanted.sha:
        return False
    made = latest.content.model
    if (made.name, made.version) != (model.name, model.version):
        return False
    return made.digest == model.identity or not model.settled


def was_overtaken(runs: FlowRuns, run: FlowRun) -> bool:
    """Whether it was cancelled because of a newer commit, and not by a person."""
    if run.state != "CANCELLED":
        return False
    return OVERTAKEN in run.tags or runs.has_said(run, OVERTAKEN_BY)


def main() -> int:
    """Look until SIGTERM or SIGINT; exit status 2 for wrong settings at the start."""
    ended = Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, partial(_end, ended))
    try:
        settings = configuration.load()
        network.enter(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    watch = Watch(partial(print, flush=True))
    while not ended.is_set():
        watch.look()
        ended.wait(settings.watch.interval)
    return 0


def _end(ended: Event, _signal: int, _frame: FrameType | None) -> None:
    ended.set()


if __name__ == "__main__":
    sys.exit(main())
