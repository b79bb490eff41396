"""What images the container engine keeps of one repository, and removing those that are asked for."""

from datetime import datetime

from docker.errors import APIError, ImageNotFound

from flows.core.build.image_retention import LocalImage
from flows.services.images.container_engine import ContainerEngine
from flows.services.images.docker_errors import translated_engine_errors

CONFLICT = 409
"""The engine's answer where a container still uses the image."""


@translated_engine_errors()
def images_of(engine: ContainerEngine, repository: str) -> list[LocalImage]:
    """The images that have a name in that repository, or in that of its test stages."""
    client = engine.client
    images = {
        image.id: image
        for name in (repository, f"{repository}-tests")
        for image in client.images.list(name=name)
    }
    return [
        LocalImage(
            str(image.id),
            tuple(image.tags),
            tuple(digest.partition("@")[2] for digest in image.attrs["RepoDigests"]),
            datetime.fromisoformat(image.attrs["Created"]),
        )
        for image in images.values()
    ]


@translated_engine_errors()
def remove(engine: ContainerEngine, name: str) -> bool:
    """Whether the name is gone by this, with the layers that only it needed; a container may still use it."""
    try:
        engine.client.images.remove(name)
    except ImageNotFound:
        return False
    except APIError as answer:
        if answer.status_code == CONFLICT:
            return False
        raise
    return True


@translated_engine_errors()
def layers_size(engine: ContainerEngine) -> int:
    """Bytes of all layers on the engine."""
    return int(engine.client.df()["LayersSize"])
