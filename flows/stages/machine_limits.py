"""Limits for what a worker's machine keeps for later runs: what was used least recently is deleted."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from flows.core.build.image_retention import surplus_names
from flows.core.errors import SlipwayError
from flows.services.images import docker_images
from flows.services.models.model_cache import ModelCache
from flows.services.process import files
from flows.stages.context import RunContext

GIGABYTE = 10**9

AT_WORK = timedelta(hours=2)
"""A model that was used this recently may be one of a run under way."""

KEPT_ON_ENGINE = 10
"""Newest images of the project that stay on the engine: more than those of runs under way."""


@contextmanager
def machine_kept_small(run: RunContext) -> Iterator[None]:
    """Apply the machine's limits when the run ends or fails; after a kill, the next run does it."""
    try:
        yield
    except SlipwayError:
        limit_machine(run)
        raise
    limit_machine(run)


def limit_machine(run: RunContext) -> None:
    """Apply the limits of models and engine; no run fails because of an error of the machine's."""
    try:
        limit_models(run)
    except OSError as error:
        run.say(f"Old models stay on this machine: {error}")
    try:
        limit_engine(run)
    except SlipwayError as error:
        run.say(f"Old images and the build cache stay on the engine: {error.happened}")


def limit_models(run: RunContext) -> None:
    """Delete models on this machine beyond `[housekeeping] models`."""
    most = round(run.settings.housekeeping.models * GIGABYTE)
    surplus = ModelCache(run.cache / "models").beyond(most, datetime.now(UTC) - AT_WORK)
    if surplus:
        run.say(f"Removed {len(surplus)} models from this machine, {files.remove(surplus) / 1e6:.1f} MB.")


def limit_engine(run: RunContext) -> None:
    """Limit the project's images to `KEPT_ON_ENGINE`, and the build cache to `[housekeeping] build_cache`."""
    repository, most = run.registry.name, round(run.settings.housekeeping.build_cache * GIGABYTE)
    surplus = surplus_names(docker_images.images_of(run.engine, repository), repository, KEPT_ON_ENGINE)
    gone = [name for name in surplus if docker_images.remove(run.engine, name)]
    freed = docker_images.limit_build_cache(run.engine, most)
    if gone or freed:
        run.say(f"Removed {len(gone)} images from the engine, and {freed / 1e6:.1f} MB of its build cache.")
