"""The Dockerfile to build by, in a build context that was laid out."""

import shutil
from pathlib import Path

from flows.core.build import model_place
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


def require_no_copy(context: Path, name: str, model_path: str) -> None:
    """`BuildFailed` where the Dockerfile copies `model/`, though Slipway puts the model into the image.

    A folder of that name in the commit is the team's own, and may be copied.
    """
    if not (context / "model").exists() and (context / name).is_file():
        model_place.require_one_way(_text(context / name), name, model_path)


def require_copy(context: Path, name: str) -> None:
    """`BuildFailed` where the Dockerfile does not copy `model/`, though no `[app] model_path` is set."""
    if (context / name).is_file():
        model_place.require_copy(_text(context / name), name)


def _text(file: Path) -> str:
    return file.read_bytes().decode(errors="replace")
