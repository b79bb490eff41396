"""The stages of housekeeping: each deletes what is old of one kind, or only counts it in a dry run."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from flows.core.build.capsule import ATTACHED, capsule_of, half_of, halves_of
from flows.core.build.image import familiar
from flows.core.build.image_retention import (
    Freed,
    Named,
    Tagged,
    first_images,
    removable_bases,
    removable_manifests,
    removable_names,
    removable_untagged,
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
from flows.services.registry.manifest import ImageManifest, instant_noted
from flows.stages.context import RunContext

T = TypeVar("T")

LISTED = 20
"""Number of deleted names that the log lists; the rest is counted."""

IMAGES_AT_A_TIME = 20
"""Number of images deleted in one go: runs of ci that move `latest` wait meanwhile."""


def forget_runs(run: RunContext, *, dry_run: bool) -> Freed:
    """Delete Prefect's runs that ended long ago, with their logs.

    Runs of branch heads and of recorded releases stay: by a commit's runs, the poller knows that it was
    built, and history pages link to the run of each release. `PermanentError` where the records of an
    environment can't be read.
    """
    recorded = _of_each(run, "run", runs_recorded_in)
    spared = Spared(frozenset().union(*recorded), set(run.repository.heads().values()))
    before = _days_ago(run.settings.housekeeping.runs)
    count = retention.forget(run.settings.watch.deployment, before, spared, dry_run=dry_run)
    return Freed("flow runs", count, None)


def runs_recorded_in(cluster: Cluster) -> frozenset[str]:
    """The runs that the records of an environment name."""
    cluster.require_namespace()
    return frozenset(record.run for record in Records(cluster).history())


def sweep_machine(run: RunContext, *, dry_run: bool) -> list[Freed]:
    """Delete models, mirrors and reports on this machine that no run has used for long."""
    wanted = run.settings.housekeeping
    models, before = ModelCache(run.cache / "models"), _days_ago(wanted.cache)
    mirrors = repository.unused_mirrors(run.cache / "source", before)
    reports = files.older_than(run.reports.parent.glob("*"), _days_ago(wanted.runs))
    return [
        _remove("models on this machine", models.unused_since(before), dry_run=dry_run),
        _remove("descriptions of plain models", models.notes_unused_since(before), dry_run=dry_run),
        _remove("mirrors of repositories", mirrors, dry_run=dry_run),
        _remove("JUnit reports", reports, dry_run=dry_run),
    ]


def sweep_test_cache(run: RunContext, *, dry_run: bool) -> Freed:
    """Delete cached results of tests that passed long ago."""
    old = run.passed_tests.older_than(_days_ago(run.settings.housekeeping.images))
    if not dry_run:
        for blob in old:
            run.passed_tests.blobs.remove(blob.path)
    return Freed("cached test results", len(old), sum(blob.size for blob in old))


def sweep_duel_reports(run: RunContext, *, dry_run: bool) -> Freed:
    """Delete reports of duels of long ago."""
    old = run.duel_reports.older_than(_days_ago(run.settings.housekeeping.runs))
    if not dry_run:
        for blob in old:
            run.duel_reports.blobs.remove(blob.path)
    return Freed("reports of duels", len(old), sum(blob.size for blob in old))


def find_named(run: RunContext) -> Named:
    """The images that `latest` or an environment names; `PermanentError` where one of them can't be read."""
    pointer = run.registry.pointer()
    named = Named(frozenset({pointer.digest}), frozenset({pointer.content.capsule})) if pointer else Named()
    for one in _of_each(run, "image", named_in):
        named |= one
    return named


def named_in(cluster: Cluster) -> Named:
    """The images that an environment's records and quarantine marks name, or its pods run."""
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
        | {capsule for image in running if (capsule := capsule_of(image.rpartition(":")[2]))},
    )


def remove_abandoned_containers(run: RunContext, *, dry_run: bool) -> Freed:
    """Remove containers of flow runs that were killed before they removed them."""
    over = retention.ended(run.engine.runs_with_containers())
    count = len(over) if dry_run else sum(run.engine.remove_containers(one) for one in over)
    if count and not dry_run:
        run.say(f"Removed {count} containers that killed runs left on the engine.")
    return Freed("containers of killed runs", count, None)


def sweep_engine(run: RunContext, *, dry_run: bool) -> Freed:
    """Delete old images of the project on this engine that nothing names, and earlier base images."""
    named = find_named(run)
    repository, old = run.registry.name, _days_ago(run.settings.housekeeping.images)
    names = removable_names(docker_images.images_of(run.engine, repository), repository, named, old)
    base = run.base_image()
    names += removable_bases(docker_images.bases_of(run.engine, familiar(base)), base.reference, old)
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
    """What was deleted from the registry, what is left, and whether more of that may be deleted."""

    freed: Freed
    left: Stock
    more: bool


def take_stock(run: RunContext) -> Stock:
    """Every tag of the project; this takes a request or two for each."""
    manifests = _manifests(run.registry)
    return Stock(tuple(_described(run.registry, tag, manifests) for tag in manifests), manifests)


def _described(registry: Registry, tag: str, manifests: Mapping[str, ImageManifest]) -> Tagged:
    """The tag with the age of its image, or half of one: when it was built, or pushed if that was later."""
    manifest, configuration = manifests[tag], registry.configuration(manifests[tag])
    if configuration is None:
        return Tagged(tag, manifest.digest, manifest.pushed if half_of(tag) else None)
    labels, attached = configuration.labels, manifests.get(f"{tag}{ATTACHED}")
    times = (configuration.created, instant_noted(labels), attached.pushed if attached else None)
    created = max(filter(None, times)) if configuration.created else None
    return Tagged(tag, manifest.digest, created, halves_of(labels))


def sweep_registry(run: RunContext, stock: Stock, *, dry_run: bool) -> Swept:
    """Delete a few old images in the registry that nothing names. `latest` must not move meanwhile.

    Only a few, because other runs wait to move `latest`; a dry run counts all. The size is that of layers
    which no manifest needs any more. Azure's registry frees them by itself, Debian's with its garbage
    collection.
    """
    wanted, manifests = run.settings.housekeeping, stock.manifests
    named = find_named(run) | _listed(manifests.values())  # read after the stock: what was named since stays
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


def sweep_untagged(run: RunContext, stock: Stock, *, dry_run: bool) -> Freed:
    """Delete images that runs put without a tag long ago and that never got one. `latest` must not move
    meanwhile.

    The note is read again right before: an image that is composed again has the same digest, and its run
    writes the note again before it puts the image.
    """
    before = _days_ago(run.settings.housekeeping.images)
    noted = list(run.untagged.before(before))
    named = find_named(run) | _listed(stock.manifests.values())
    tags = [one for one in stock.tags if one.digest not in stock.gone]
    going = removable_untagged(noted, tags, named, before)
    _tell(run, [f"{one.digest[:19]} of run {one.run}" for one in going])
    gone = 0
    for one in () if dry_run else going:
        again = run.untagged.find(one.digest)
        if again is not None and again.since < before:
            run.registry.delete(one.digest)
            run.untagged.forget(one.digest)
            gone += 1
    for one in () if dry_run else noted:  # tagged, by a run that was killed before it could forget the note
        if any(tag.digest == one.digest for tag in tags):
            run.untagged.forget(one.digest)
    return Freed("untagged images in the registry", len(going) if dry_run else gone, None)


def _manifests(registry: Registry) -> dict[str, ImageManifest]:
    found = {}
    for tag in registry.tags():
        with suppress(ImageNotFound):  # it went meanwhile
            found[tag] = registry.manifest(tag)
    return found


def _listed(stock: Iterable[ImageManifest]) -> Named:
    """The manifests that an index lists, `latest` or one that a person made: the index needs them."""
    entries = [entry for manifest in stock for entry in manifest.parts.manifests or ()]
    return Named(frozenset(entry.digest for entry in entries))


def _of_each(run: RunContext, what: str, question: Callable[[Cluster], T]) -> list[T]:
    """The answer of every environment. `PermanentError` where one gives none: then no `what` is deleted."""
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
    """The images in the pod's specification, and those in its status."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return [c["image"] for c in pod["spec"]["containers"]] + [status["imageID"] for status in statuses]


def _days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def _remove(what: str, paths: list[Path], *, dry_run: bool) -> Freed:
    return Freed(what, len(paths), sum(map(files.size_of, paths)) if dry_run else files.remove(paths))


def _tell(run: RunContext, names: list[str]) -> None:
    for name in names[:LISTED]:
        run.say(f"Nothing needs {name} any more.")
    if len(names) > LISTED:
        run.say(f"… nor {len(names) - LISTED} more.")
