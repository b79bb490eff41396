"""The stages of housekeeping: each finds what may go of one thing, and removes it unless it is a dry run."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from flows.core.build.image_retention import (
    Freed,
    Named,
    Tagged,
    first_images,
    removable_manifests,
    removable_names,
)
from flows.core.errors import ImageNotFound, PermanentError, SlipwayError
from flows.core.rollout.snapshot import Object
from flows.services.git import repository
from flows.services.images import docker_images
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.release_store import Records
from flows.services.models.model_cache import ModelCache
from flows.services.prefect import retention
from flows.services.prefect.retention import Spared
from flows.services.process import files
from flows.services.registry.client import Registry
from flows.services.registry.manifest import ImageManifest
from flows.stages.context import RunContext

T = TypeVar("T")

LISTED = 20
"""Names that the log lists of what goes; of more, these."""

IMAGES_AT_A_TIME = 20
"""Images deleted in one go: runs of ci that want to move `latest` wait meanwhile."""


def forget_runs(run: RunContext, *, dry_run: bool) -> Freed:
    """Prefect's runs that ended long ago, with their logs.

    Not those of commits that are still wanted, nor of releases that are recorded: the watch knows by a
    commit's runs that it was built, and what is live leads to its run. `PermanentError` where the records of
    an environment can't be read.
    """
    recorded = _of_each(run, "run", runs_recorded_in)
    spared = Spared(frozenset().union(*recorded), set(run.repository.heads().values()))
    before = _days_ago(run.settings.housekeeping.runs)
    count = retention.forget(run.settings.watch.deployment, before, spared, dry_run=dry_run)
    return Freed("flow runs", count, None)


def runs_recorded_in(cluster: Cluster) -> frozenset[str]:
    """The runs that the records of an environment name: what is live, and its ledger, lead to them."""
    cluster.require_namespace()
    return frozenset(record.run for record in Records(cluster).history())


def sweep_machine(run: RunContext, *, dry_run: bool) -> list[Freed]:
    """Models, mirrors and reports on this machine that no run has used for long."""
    wanted = run.settings.housekeeping
    models = ModelCache(run.cache / "models").unused_since(_days_ago(wanted.cache))
    mirrors = repository.unused_mirrors(run.cache / "source", _days_ago(wanted.cache))
    reports = files.older_than(run.reports.parent.glob("*"), _days_ago(wanted.runs))
    return [
        _remove_folders("models on this machine", models, dry_run=dry_run),
        _remove_folders("mirrors of repositories", mirrors, dry_run=dry_run),
        _remove_folders("JUnit reports", reports, dry_run=dry_run),
    ]


def sweep_test_cache(run: RunContext, *, dry_run: bool) -> Freed:
    """What is remembered of tests that passed long ago."""
    old = run.passed_tests.older_than(_days_ago(run.settings.housekeeping.images))
    if not dry_run:
        for blob in old:
            run.passed_tests.blobs.remove(blob.path)
    return Freed("memories of passed tests", len(old), sum(blob.size for blob in old))


def find_named(run: RunContext) -> Named:
    """What `latest` and every environment name; `PermanentError` where one of them can't be read."""
    pointer = run.registry.pointer()
    named = Named(frozenset({pointer.digest}), frozenset({pointer.content.capsule})) if pointer else Named()
    for one in _of_each(run, "image", named_in):
        named |= one
    return named


def named_in(cluster: Cluster) -> Named:
    """What the records and marks of an environment name, and its replicas run."""
    cluster.require_namespace()
    kept = Records(cluster)
    history, marks = kept.history(), kept.notes().marks
    running = [container for pod in cluster.pods() for container in _images(pod)]
    if (deployment := cluster.find_deployment()) is not None:
        running += _images({"spec": deployment["spec"]["template"]["spec"]})
    return Named(
        frozenset([record.image.digest for record in history])
        | {mark.digest for mark in marks}
        | {image.rpartition("@")[2] for image in running},
        frozenset([record.content.capsule for record in history])
        | {image.rpartition(":")[2] for image in running},
    )


def sweep_engine(run: RunContext, *, dry_run: bool) -> Freed:
    """The project's images on this machine's engine that are old, and that nothing names."""
    named = find_named(run)
    repository = run.registry.name
    names = removable_names(
        docker_images.images_of(run.engine, repository),
        repository,
        named,
        _days_ago(run.settings.housekeeping.images),
    )
    _tell(run, names)
    if dry_run:
        return Freed("images on this machine", len(names), None)
    before = docker_images.layers_size(run.engine)
    gone = [name for name in names if docker_images.remove(run.engine, name)]
    freed = before - docker_images.layers_size(run.engine)  # a build beside this may have added more
    return Freed("images on this machine", len(gone), max(freed, 0))


@dataclass(frozen=True)
class Stock:
    """What the registry held: every tag, and its manifest; `gone`: the digests of what was deleted since."""

    tags: tuple[Tagged, ...]
    manifests: Mapping[str, ImageManifest]
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Swept:
    """What was removed of the registry, what is left, and whether more of that may go."""

    freed: Freed
    left: Stock
    more: bool


def take_stock(run: RunContext) -> Stock:
    """Every tag of the project; this takes a while, a question or two for each."""
    manifests = _manifests(run.registry)
    tags = [Tagged(tag, found.digest, run.registry.created(found)) for tag, found in manifests.items()]
    return Stock(tuple(tags), manifests)


def sweep_registry(run: RunContext, stock: Stock, *, dry_run: bool) -> Swept:
    """Old images in the registry that nothing names. `latest` must not move meanwhile.

    Not all at once, as others wait for that; a dry run counts all. The size is that of layers which no
    manifest needs any more. Azure's registry gives them back by itself, Debian's once its garbage is
    collected.
    """
    wanted, manifests = run.settings.housekeeping, stock.manifests
    named = find_named(run) | _listed(manifests.values())  # asked last: what was named since then stays
    removable = removable_manifests(stock.tags, named, _days_ago(wanted.images), wanted.keep)
    may_go = [one for one in removable if one.digest not in stock.gone]
    going = may_go if dry_run else first_images(may_go, IMAGES_AT_A_TIME)
    _tell(run, [one.tag for one in going])
    left = replace(stock, gone=stock.gone | {one.digest for one in going})
    needed = {blob for found in manifests.values() if found.digest not in left.gone for blob in found.blobs}
    blobs = {blob: size for one in going for blob, size in manifests[one.tag].blobs.items()}
    freed = sum(size for blob, size in blobs.items() if blob not in needed)
    for digest in () if dry_run else left.gone - stock.gone:
        run.registry.delete(digest)
    return Swept(Freed("tags in the registry", len(going), freed), left, 0 < len(going) < len(may_go))


def _manifests(registry: Registry) -> dict[str, ImageManifest]:
    found = {}
    for tag in registry.tags():
        with suppress(ImageNotFound):  # it went meanwhile
            found[tag] = registry.manifest(tag)
    return found


def _listed(stock: Iterable[ImageManifest]) -> Named:
    """An index needs the manifests that it lists: `latest`, or one that a person made."""
    entries = [entry for manifest in stock for entry in manifest.content.get("manifests", [])]
    return Named(frozenset(entry["digest"] for entry in entries))


def _of_each(run: RunContext, what: str, question: Callable[[Cluster], T]) -> list[T]:
    """The answer of every environment; while one gives none, no such thing is deleted."""
    answers = []
    for environment in run.settings.environments:
        try:
            answers.append(question(run.cluster(environment)))
        except SlipwayError as error:
            raise PermanentError(
                f"No {what} was deleted: what {environment} needs can't be read. {error.happened}",
                error.remedy,
            ) from error
    return answers


def _images(pod: Object) -> list[str]:
    """The images that a pod was given, and those it runs."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return [c["image"] for c in pod["spec"]["containers"]] + [status["imageID"] for status in statuses]


def _days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def _remove_folders(what: str, folders: list[Path], *, dry_run: bool) -> Freed:
    size = sum(files.size_of(folder) for folder in folders)
    if not dry_run:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    return Freed(what, len(folders), size)


def _tell(run: RunContext, names: list[str]) -> None:
    for name in names[:LISTED]:
        run.say(f"Nothing needs {name} any more.")
    if len(names) > LISTED:
        run.say(f"… nor {len(names) - LISTED} more.")
