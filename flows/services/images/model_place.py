"""What an image that was built has at the place of the model, which must be nothing."""

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, cast

from docker.errors import NotFound

from flows.core.build.composition import MARKER, require_mark, require_no_volume, require_untouched
from flows.services.images.container_engine import RUN_LABEL, ContainerEngine, removed_at_the_end
from flows.services.images.docker_errors import translated_engine_errors


@translated_engine_errors()
def require_free(engine: ContainerEngine, image: str, path: str) -> None:
    """`BuildFailed` where the image does not mark that path, has a volume there, or a file or link.

    Empty folders do no harm. No container is started.
    """
    client = engine.client
    configuration = client.images.get(image).attrs["Config"]
    require_mark((configuration.get("Labels") or {}).get(MARKER), path)
    require_no_volume({"config": configuration}, path)
    container = client.containers.create(image, command=["none"], labels={RUN_LABEL: engine.run})
    with removed_at_the_end(container):
        try:
            chunks, _ = container.get_archive(path)
        except NotFound:
            return
        above = PurePosixPath(path).parent
        with tarfile.open(fileobj=cast(IO[bytes], _Reader(chunks)), mode="r|") as tar:
            require_untouched(path, [str(above / entry.name) for entry in tar if not entry.isdir()][:1])


class _Reader:
    """Chunks as a file that is read once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (chunk := next(self._chunks, b"")):
            self._rest += chunk
        given, self._rest = self._rest[:size], self._rest[size:]
        return given
