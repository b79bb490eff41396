"""What people ask: the status of an environment, its releases, and the models in the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from flows.core.explain.status import DeploymentStatus, Place
from flows.core.release.record import Record
from flows.credentials import prefect_blocks
from flows.explain.collect import StatusCollector
from flows.services.models.transfer import no_progress
from flows.services.prefect.api import FlowRuns
from flows.services.process.command import silent
from flows.stages.context import opened


@dataclass(frozen=True)
class Models:
    """The model's name; its versions in the store, newest first; the one that the next image gets; the pinned
    one."""

    name: str
    versions: list[str]
    wanted: str
    pinned: str | None


@dataclass(frozen=True)
class GoldenSets:
    """The model's name; the versions of its golden set, newest first; the one that duels take."""

    name: str
    versions: list[str]
    newest: str | None


def status(environment: str) -> DeploymentStatus:
    """The status of that environment; a system that does not answer is named in it."""
    with _collector() as collector:
        return collector.collect(environment)


def places() -> list[Place]:
    """Every environment, as its cluster says; one that does not answer is named in it."""
    with _collector() as collector:
        return [collector.place(name) for name in collector.run.settings.environments]


def history(environment: str) -> list[Record]:
    """The records of its releases, the newest first; errors as of its cluster."""
    with _collector() as collector:
        return collector.history(environment)


def models() -> Models:
    """What the model store holds; errors as of the store."""
    with _collector() as collector:
        store, name = collector.run.models, collector.run.settings.model.name
        pin = store.pinned(name)
        return Models(name, store.versions(name), store.peek(name).version, pin.version if pin else None)


def golden_sets() -> GoldenSets:
    """The golden sets of the model; errors as of the store."""
    with _collector() as collector:
        store, name = collector.run.golden_sets, collector.run.settings.model.name
        newest = store.newest(name)
        return GoldenSets(name, store.versions(name), newest.version if newest else None)


def duel_report(run: str) -> bytes | None:
    """The HTML report of the duel of that run; None where there is none; errors as of the results storage."""
    with _collector() as collector:
        return collector.run.duel_reports.find(run)


@contextmanager
def _collector() -> Iterator[StatusCollector]:
    with FlowRuns() as runs, opened("ask", silent, no_progress, prefect_blocks) as run:
        yield StatusCollector(run, runs, datetime.now(run.settings.nights.zone))
