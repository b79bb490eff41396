"""Compares what is wanted with what is built, every minute, and starts the CI runs that are missing.

    python -m flows.triggers.watch

Wanted are the newest commits of the branches that are built, as the remote tells them, with the wanted model,
as the store tells it. What is remembered between two looks only spares questions: a watch that is killed
loses nothing.
"""

import signal
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from types import FrameType

from flows import settings as configuration
from flows.core.errors import SettingsError, SlipwayError
from flows.core.model import Sighting
from flows.core.pointer import Pointer
from flows.core.run_names import TRIGGERED, branch_tag, commit_tag
from flows.core.trigger import Wanted
from flows.run import Run
from flows.services.command import Say, silent
from flows.triggers.access import outside_run
from flows.triggers.flow_runs import ACTIVE, FlowRun, FlowRuns, prefect_errors_told
from flows.triggers.start import OVERTAKEN, overtake, rules_of, start

REMOTE_TIMEOUT = 30
"""Seconds for a list of branches."""


LOST_AFTER = 120
"""Seconds from a worker's taking a run to the start of its process, which takes ten on a busy machine."""


@dataclass
class Watch:
    """One watch; `say` takes what it starts, and what is in its way: each once."""

    say: Say
    _heads: dict[str, str] = field(default_factory=dict)
    _seen: Sighting | None = None
    _built: set[str] = field(default_factory=set)
    _complaint: type[SlipwayError] | None = None

    def look(self) -> None:
        """Start what is missing; what is in the way is told when it appears and when it has passed."""
        try:
            self.give_up_lost(datetime.now(UTC))
            self._look()
        except SlipwayError as error:
            if self._complaint is not type(error):
                self.say(f"Warning: {error} The watch goes on looking.")
            self._complaint = type(error)
        else:
            if self._complaint is not None:
                self.say("What was in the way has passed.")
            self._complaint = None

    def give_up_lost(self, now: datetime) -> None:
        """Mark runs as crashed that a worker took and did not begin, because it, or the server, ended then.

        Nothing else would: no worker takes them again, and what never ran has no heartbeat that could stop.
        """
        with FlowRuns() as runs:
            deployment = configuration.load().watch.deployment
            for lost in runs.not_begun(deployment, now - timedelta(seconds=LOST_AFTER)):
                runs.crash(lost, f"A worker took it, and no process has begun it in {LOST_AFTER} s.")
                self.say(f"Given up, as no process has begun it: {runs.link(lost.id)}")

    def _look(self) -> None:
        run = outside_run("watch", silent)
        with prefect_errors_told():
            repository, models = replace(run.repository, timeout=REMOTE_TIMEOUT), run.models
        heads = repository.heads()
        model = self._whole(models.sighting(run.settings.model.name))
        if model is None:
            return
        rules = rules_of(run)
        with FlowRuns() as runs:
            for branch in sorted(filter(rules.builds, heads)):
                wanted = Wanted(rules.repository, branch, heads[branch], self._before(branch, heads))
                ensure = self._ensure_released if branch == rules.released_branch else self._ensure_other
                ensure(run, runs, wanted, model)
                self._heads[branch] = wanted.sha

    def _whole(self, seen: Sighting) -> Sighting | None:
        """The model, unless it is a plain file that looked different before: one that is still written."""
        before, self._seen = self._seen, seen
        return seen if seen.settled or seen == before else None

    def _before(self, branch: str, heads: dict[str, str]) -> str:
        before = self._heads.get(branch, "")
        return "" if before == heads[branch] else before

    def _ensure_released(self, run: Run, runs: FlowRuns, wanted: Wanted, model: Sighting) -> None:
        """`latest` is what counts: what was built before, and replaced, may be wanted again."""
        with prefect_errors_told():
            latest = run.registry.pointer()
        if names(latest, wanted, model):
            return
        if not wanted.before and latest is not None and latest.commit != wanted.sha:
            wanted = replace(wanted, before=latest.commit)
        found = self._start(run, runs, wanted, model)
        if found.state == "COMPLETED":
            latest = run.registry.pointer()  # it may have moved since
            if not names(latest, wanted, model):
                self._start(run, runs, wanted, model, f"after-{latest.run if latest else 'none'}")
        elif was_overtaken(found):
            self._start(run, runs, wanted, model, f"after-{found.id}")

    def _ensure_other(self, run: Run, runs: FlowRuns, wanted: Wanted, model: Sighting) -> None:
        """Each commit once, with the model of its time: a new one concerns the released branch."""
        if wanted.sha in self._built:
            return
        found = runs.with_tags(TRIGGERED, branch_tag(wanted.branch), commit_tag(wanted.sha))
        latest = found[-1] if found else None
        if latest is None or latest.state == "CRASHED":
            latest = self._start(run, runs, wanted, model)
        elif was_overtaken(latest):
            latest = self._start(run, runs, wanted, model, f"after-{latest.id}")
        if latest.state in {"COMPLETED", "FAILED"}:
            self._built.add(wanted.sha)

    def _start(
        self, run: Run, runs: FlowRuns, wanted: Wanted, model: Sighting, again: str | None = None
    ) -> FlowRun:
        started = start(runs, run.settings.watch.deployment, wanted, model, again)
        if started.new:
            self.say(f"{wanted.branch} {wanted.sha[:7]} + {model}: started {started.link}")
            for older in runs.with_tags(TRIGGERED, branch_tag(wanted.branch), states=ACTIVE):
                if older.id != started.run.id:
                    overtake(runs, older, wanted)
        return started.run


def names(latest: Pointer | None, wanted: Wanted, model: Sighting) -> bool:
    """Whether `latest` is made from that commit and that model, of which a plain file has no digest yet."""
    if latest is None or latest.commit != wanted.sha or latest.model != model.name:
        return False
    return latest.model_digest == model.identity if model.settled else latest.model_version == model.version


def was_overtaken(run: FlowRun) -> bool:
    """Whether it was cancelled for another commit, and nobody wanted to have it cancelled as such."""
    return run.state == "CANCELLED" and OVERTAKEN in run.tags


def main() -> int:
    """Look until SIGTERM or SIGINT; exit status 2 for wrong settings at the start."""
    ended = Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, partial(_end, ended))
    try:
        interval = configuration.load().watch.interval
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    watch = Watch(partial(print, flush=True))
    while not ended.is_set():
        watch.look()
        ended.wait(interval)
    return 0


def _end(ended: Event, _signal: int, _frame: FrameType | None) -> None:
    ended.set()


if __name__ == "__main__":
    sys.exit(main())
