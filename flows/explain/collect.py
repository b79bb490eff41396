"""Asks every system where things stand for one environment; one that does not answer is `Away`, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from flows.core.errors import PrefectUnavailable, SettingsError, SlipwayError
from flows.core.explain.status import Away, DeploymentStatus, Place, Seen, Store
from flows.core.night.schedule import NIGHTLY_RELEASE
from flows.core.release import record as records
from flows.core.release.decision import Candidate, EnvironmentSnapshot, Upstream
from flows.core.release.record import Record
from flows.core.trigger.run_labels import commit_tag, environment_tag, model_tag, to_tag
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.release_store import Records
from flows.services.prefect.api import FlowRuns, translated_prefect_errors
from flows.services.prefect.client import FlowRun
from flows.stages.clusters import cluster_of
from flows.stages.context import RunContext
from flows.stages.resolve_image import find_candidate

ENDED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
"""Types of states that a run stays in."""

REMOTE_TIMEOUT = 20
"""Seconds for a list of branches."""

T = TypeVar("T")


@dataclass(frozen=True)
class StatusCollector:
    """Who is asked on behalf of one environment."""

    run: RunContext
    runs: FlowRuns
    now: datetime

    def standing(self, name: str) -> DeploymentStatus:
        """Where everything stands for that environment; `SettingsError` where there is none of that name."""
        settings = self.run.settings
        wanted = settings.environment(name)
        upstream = self.place(wanted.promotes_from) if wanted.promotes_from else None
        here = self.place(name, upstream)
        latest = _asked("the registry", self._latest)
        promotable = _asked("the registry", lambda: self._promotable(upstream, wanted.bake))
        head = _asked("the repository", self._head)
        store = _asked("the model store", self._store)
        candidates = [one for one in (latest, promotable) if isinstance(one, Candidate)]
        return DeploymentStatus(
            now=self.now,
            here=here,
            upstream=upstream,
            latest=latest,
            promotable=promotable,
            head=head,
            store=store,
            build=_asked("Prefect", lambda: self._build(head, store)),
            releases=_asked("Prefect", lambda: self.releases(name, candidates)),
            upstream_releases=_asked("Prefect", lambda: self.releases(wanted.promotes_from, candidates)),
            night=_asked("Prefect", self._night),
            link=self.runs.link,
        )

    def place(self, name: str, upstream: Place | None = None) -> Place:
        """What the cluster of that environment says, with what it may promote from `upstream`."""
        wanted = self.run.settings.environment(name)
        above = upstream.situation if upstream else None

        def situation() -> EnvironmentSnapshot:
            cluster = self._cluster(name)
            kept = Records(cluster)
            history = tuple(kept.history())
            promoting = None
            if upstream and isinstance(above, EnvironmentSnapshot):
                promoting = Upstream(upstream.name, above.history, wanted.bake)
            return EnvironmentSnapshot(cluster.live(), history, kept.notes(), promoting)

        return Place(name, _asked(f"the cluster of {name}", situation), wanted.approval)

    def history(self, name: str) -> list[Record]:
        """The records of the environment's releases, the newest first; errors as of its cluster."""
        return Records(self._cluster(name)).history()

    def _cluster(self, name: str) -> Cluster:
        """As the account that releases; while Prefect, which keeps its kubeconfig, is away: as this user."""
        try:
            with translated_prefect_errors():
                return self.run.cluster(name)
        except PrefectUnavailable:
            return cluster_of(self.run.settings, name)

    def _latest(self) -> Candidate | None:
        return find_candidate(self.run, "latest") if self.run.registry.pointer() else None

    def _promotable(self, upstream: Place | None, bake: float) -> Candidate | None:
        if upstream is None or isinstance(upstream.situation, Away):
            return None
        found = records.promotable(upstream.situation.history, bake, self.now)
        if found is None:
            return None
        candidate = find_candidate(self.run, found.image.digest)
        return candidate.of_commit(found.content)

    def _head(self) -> str:
        heads = replace(self.run.repository, timeout=REMOTE_TIMEOUT).heads()
        branch = self.run.settings.source.released_branch
        if branch not in heads:
            raise SettingsError(f"It has no branch {branch}, which [source] released_branch names.")
        return heads[branch]

    def _store(self) -> Store:
        models, name = self.run.models, self.run.settings.model.name
        wanted, pin = models.peek(name), models.pinned(name)
        return Store(wanted, models.versions(name)[0] if pin else wanted.version, pin)

    def _build(self, head: str | Away, store: Store | Away) -> Seen | None:
        """The newest run of ci for that commit and model, as far as they are known."""
        if isinstance(head, Away):
            return None
        tags = [commit_tag(head)]
        if isinstance(store, Store):
            tags.append(model_tag(store.wanted.name, store.wanted.version))
        return self._newest([run for run in self.runs.with_tags(*tags) if not _releases(run)])

    def releases(self, environment: str | None, candidates: Sequence[Candidate]) -> dict[str, Seen]:
        """The newest run that means to bring each of them there, but none that has gone on to the next."""
        if environment is None:
            return {}
        names = list(self.run.settings.environments)
        behind = {environment_tag(name) for name in names[names.index(environment) + 1 :]}
        seen = {}
        for one in candidates:
            found = self.runs.with_tags(to_tag(environment, str(one)))
            still = [run for run in found if run.state in ENDED or behind.isdisjoint(run.tags)]
            if run := self._newest(still):
                seen[str(one)] = run
        return seen

    def _newest(self, found: Sequence[FlowRun]) -> Seen | None:
        if not found:
            return None
        run = found[-1]
        return Seen(run.state, run.state_name, run.message, self.runs.link(run.id))

    def _night(self) -> datetime | None:
        found = self.runs.next_scheduled(NIGHTLY_RELEASE)
        return found.due if found else None


def _asked(system: str, question: Callable[[], T]) -> T | Away:
    try:
        with translated_prefect_errors():
            return question()
    except SlipwayError as error:
        return Away(system, error.happened)


def _releases(run: FlowRun) -> bool:
    return any(tag.startswith(environment_tag("")) for tag in run.tags)
