"""What images the container engine keeps of one repository, and removing those that are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from docker.errors import APIError, ImageNotFound
from docker.models.images import Image

from flows.core.build.image_retention import LocalImage
from flows.services.images.container_engine import ContainerEngine
from flows.services.images.docker_errors import translated_engine_errors


@translated_engine_errors()
def images_of(engine: ContainerEngine, repository: str) -> list[LocalImage]:
    """The images that have a name in that repository, or in that of its test stages."""
    client = engine.client
    images = {
        image.id: image
        for name in (repository, f"{repository}-tests")
        for image in client.images.list(name=name)
    }
    return [_described(image, image.tags) for image in images.values()]


@translated_engine_errors()
def bases_of(engine: ContainerEngine, repository: str) -> list[LocalImage]:
    """The images of that repository that were pulled by digest alone, as runs of ci do."""
    found = engine.client.images.list(name=repository)
    return [_described(image, image.attrs["RepoDigests"]) for image in found if not image.tags]


def _described(image: Image, names: Sequence[str]) -> LocalImage:
    digests = tuple(name.partition("@")[2] for name in image.attrs["RepoDigests"])
    time = max(datetime.fromisoformat(time) for time in _times(image.attrs))
    return LocalImage(str(image.id), tuple(names), digests, time)


def _times(image: Mapping[str, Any]) -> Iterator[str]:
    """When its newest layer was built, which may have been for an earlier image, and when it got a name."""
    yield image["Created"]
    if named := (image.get("Metadata") or {}).get("LastTagTime"):
        yield named


@translated_engine_errors()
def remove(engine: ContainerEngine, name: str) -> bool:
    """Remove a name, and the layers that only it needs; False where it is gone already, or in use."""
    try:
        engine.client.images.remove(name)
    except ImageNotFound:
        return False
    except APIError as answer:
        if answer.status_code == HTTPStatus.CONFLICT:  # a container uses the image
            return False
        raise
    return True


@translated_engine_errors()
def limit_build_cache(engine: ContainerEngine, size: int) -> int:
    """Delete what builds used least recently until the cache has at most `size` bytes; the bytes freed.

    Layers that an image holds are not counted, and stay.
    """
    return int(engine.client.api.prune_builds(keep_storage=size)["SpaceReclaimed"])


@translated_engine_errors()
def layers_size(engine: ContainerEngine) -> int:
    """Bytes of all layers on the engine."""
    return int(engine.client.df()["LayersSize"])
