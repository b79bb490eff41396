"""The Dockerfile to build by, in a build context that was laid out."""

import shutil
from pathlib import Path

from flows.core.build.dockerfile import confined
from flows.core.build.trust import Trust
from flows.core.errors import BuildFailed


def dockerfile_for(trust: Trust, context: Path, name: str) -> str:
    """The path to give to the builder, in the context or in full; `name` is the file's path in the context.

    Of a branch that is not released, it is a confined copy beside the context; `BuildFailed` where that can't
    be, and where the file is a link that leads out of the context.
    """
    file = context / name
    if not file.resolve().is_relative_to(context.resolve()):
        raise BuildFailed(f"{name} is a link that leads out of the build context.", "Commit the file itself.")
    if trust is Trust.RELEASED or not file.is_file():
        return name
    own = context.with_name(f"{context.name}.Dockerfile")
    text = file.read_bytes().decode(errors="surrogateescape")
    own.write_bytes(confined(text, name).encode(errors="surrogateescape"))
    ignored = file.with_name(f"{file.name}.dockerignore")
    if ignored.is_file() and not ignored.is_symlink():
        shutil.copy(ignored, own.with_name(f"{own.name}.dockerignore"))
    return str(own)
