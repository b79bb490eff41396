"""Ask every system for the status of one environment; a system that does not answer is `Away`, with why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from flows.core.errors import PrefectUnavailable, SettingsError, SlipwayError
from flows.core.explain.status import Away, DeploymentStatus, Place, Seen, Store
from flows.core.night.schedule import NIGHTLY_RELEASE
from flows.core.release import record as records
from flows.core.release.decision import Candidate, EnvironmentSnapshot, Upstream
from flows.core.release.manifests_source import ManifestsSource
from flows.core.release.record import Record
from flows.core.trigger.run_labels import base_tag, commit_tag, environment_tag, model_tag, to_tag
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.release_store import Records
from flows.services.prefect.api import FlowRuns, translated_prefect_errors
from flows.services.prefect.client import FlowRun
from flows.stages.clusters import cluster_of
from flows.stages.context import RunContext
from flows.stages.resolve_image import find_candidate, may_be_released, newest_manifests

ENDED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
"""Types of a run's last state."""

REMOTE_TIMEOUT = 20
"""Seconds for a list of branches, and for a fetch of the manifests."""

T = TypeVar("T")


@dataclass(frozen=True)
class StatusCollector:
    """Asks with the clients of `run`, and Prefect through `runs`; `now` has the project's time zone."""

    run: RunContext
    runs: FlowRuns
    now: datetime

    def collect(self, name: str) -> DeploymentStatus:
        """The status of that environment; `SettingsError` where there is none of that name."""
        settings = self.run.settings
        wanted = settings.environment(name)
        upstream = self.place(wanted.promotes_from) if wanted.promotes_from else None
        here = self.place(name, upstream)
        latest = _asked("the registry", self._latest)
        promotable = _asked("the registry", lambda: self._promotable(name, upstream, wanted.bake))
        head = _asked("the repository", self._head)
        store = _asked("the model store", self._store)
        base = _asked("the base image's registry", lambda: self.run.base_image().reference)
        candidates = [one for one in (latest, promotable) if isinstance(one, Candidate)]
        return DeploymentStatus(
            now=self.now,
            here=here,
            upstream=upstream,
            latest=latest,
            promotable=promotable,
            manifests=self.manifests(head),
            head=head,
            store=store,
            base=base,
            build=_asked("Prefect", lambda: self._build(head, store, base)),
            releases=_asked("Prefect", lambda: self.releases(name, candidates)),
            upstream_releases=_asked("Prefect", lambda: self.releases(wanted.promotes_from, candidates)),
            night=_asked("Prefect", self._night),
            link=self.runs.link,
        )

    def place(self, name: str, upstream: Place | None = None) -> Place:
        """What the cluster of that environment says, with what it may promote from `upstream`."""
        wanted = self.run.settings.environment(name)
        above = upstream.snapshot if upstream else None

        def snapshot() -> EnvironmentSnapshot:
            cluster = self._cluster(name)
            kept = Records(cluster)
            history = tuple(kept.history())
            promoting = None
            if upstream and isinstance(above, EnvironmentSnapshot):
                promoting = Upstream(upstream.name, above.history, wanted.bake)
            return EnvironmentSnapshot(cluster.live(), history, kept.notes(), promoting)

        return Place(name, _asked(f"the cluster of {name}", snapshot), wanted.approval)

    def history(self, name: str) -> list[Record]:
        """The records of the environment's releases, the newest first; errors as of its cluster."""
        return Records(self._cluster(name)).history()

    def manifests(self, head: str | Away) -> ManifestsSource | Away:
        """The manifests that `[manifests] ref` names; a repository that did not answer is not asked again."""
        settings = self.run.settings
        if isinstance(head, Away) and settings.manifests.repository in {None, settings.source.repository}:
            return head

        def newest() -> ManifestsSource:
            repository = self.run.manifests_repository
            quick = replace(repository, timeout=REMOTE_TIMEOUT, lock_wait=REMOTE_TIMEOUT)
            return newest_manifests(self.run, quick)

        return _asked("the repository of the manifests", newest)

    def _cluster(self, name: str) -> Cluster:
        """The environment's cluster with the account that releases. While Prefect, which keeps that account's
        kubeconfig, is away: with this user's kubeconfig."""
        try:
            with translated_prefect_errors():
                return self.run.cluster(name)
        except PrefectUnavailable:
            return cluster_of(self.run.settings, name)

    def _latest(self) -> Candidate | None:
        return find_candidate(self.run, "latest") if self.run.registry.pointer() else None

    def _promotable(self, name: str, upstream: Place | None, bake: float) -> Candidate | None:
        if upstream is None or isinstance(upstream.snapshot, Away):
            return None
        found = records.promotable(
            upstream.snapshot.history,
            bake,
            self.now,
            lambda release: may_be_released(self.run, name, release.content.commit),
        )
        if found is None:
            return None
        return find_candidate(self.run, found.image.digest).promoted(found)

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

    def _build(self, head: str | Away, store: Store | Away, base: str | Away) -> Seen | None:
        """The newest run of ci for that commit, model and base image, as far as they are known."""
        if isinstance(head, Away):
            return None
        tags = [commit_tag(head)]
        if isinstance(store, Store):
            tags.append(model_tag(store.wanted.name, store.wanted.version))
        found = self.runs.with_tags(*tags)
        return self._newest([run for run in found if not _is_release(run) and _may_have(run, base)])

    def releases(self, environment: str | None, candidates: Sequence[Candidate]) -> dict[str, Seen]:
        """By content, the newest run that is to release it there. A run that has gone on to the next
        environment does not count."""
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


def _is_release(run: FlowRun) -> bool:
    return any(tag.startswith(environment_tag("")) for tag in run.tags)


def _may_have(run: FlowRun, base: str | Away) -> bool:
    """Whether the run's image may have that base image; False only where a tag names another."""
    known = [tag for tag in run.tags if tag.startswith(base_tag(""))]
    return isinstance(base, Away) or not known or base_tag(base) in known
