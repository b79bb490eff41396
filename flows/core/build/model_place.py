"""Which way a Dockerfile takes to the model: it copies `model/`, or it marks a place for Slipway."""

import json
import re
from collections.abc import Iterator

from flows.core.build.composition import MARKER
from flows.core.build.dockerfile_readings import Line, readings
from flows.core.errors import BuildFailed

COPY = re.compile(r"\s*(?:COPY|ADD)\s+(.*)", re.IGNORECASE | re.DOTALL)
LABEL = re.compile(rf"\s*LABEL\b.*\b{re.escape(MARKER)}\b", re.IGNORECASE | re.DOTALL)


def require_one_way(text: str, name: str, model_path: str) -> None:
    """`BuildFailed` names the line of the Dockerfile that copies `model/` from the build context, if any."""
    for number, instruction in _instructions(text):
        if any(_is_model(source) for source in _copied(instruction)):
            raise BuildFailed(
                f"{name}, line {number}, copies model/, but [app] model_path says that Slipway does, into "
                f"{model_path}: {instruction.strip()[:80]}.",
                f"Remove that line, and write LABEL {MARKER}={model_path} there; or remove model_path.",
            )


def require_copy(text: str, name: str) -> None:
    """`BuildFailed` where the Dockerfile certainly copies no model, or marks a place for it instead."""
    _require_no_mark(text, name)
    if not any(_may_hold_model(instruction) for _, instruction in _instructions(text)):
        raise BuildFailed(
            f"{name} copies no model, and [app] model_path is not set: the image would have none.",
            f"Copy model/ in its last stage; or write LABEL {MARKER}=/model there, and set model_path.",
        )


def _require_no_mark(text: str, name: str) -> None:
    for number, instruction in _instructions(text):
        if LABEL.match(instruction):
            raise BuildFailed(
                f"{name}, line {number}, marks a place for the model, but [app] model_path is not set: "
                f"{instruction.strip()[:80]}.",
                "Set model_path in slipway.toml; or remove that line, and copy model/.",
            )


def _instructions(text: str) -> Iterator[Line]:
    _, joined, *_ = readings(text)
    yield from joined


def _copied(instruction: str) -> list[str]:
    """What an instruction copies from the build context; nothing where it is another one."""
    if (found := COPY.match(instruction)) is None:
        return []
    words = found[1].split()
    flags = [word for word in words if word.startswith("--")]
    if any(flag.startswith("--from") for flag in flags):
        return []
    rest = found[1].strip()
    for flag in flags:
        rest = rest.removeprefix(flag).lstrip()
    if rest.startswith("["):
        try:
            return [str(word) for word in json.loads(rest)][:-1]
        except ValueError:
            return []
    return rest.split()[:-1]


def _may_hold_model(instruction: str) -> bool:
    """Whether it copies the model, or may do so: a pattern, the whole context, a mount."""
    if "--mount" in instruction:
        return True
    sources = _copied(instruction)
    return any(
        _is_model(source) or source.strip("/") in {"", "."} or any(sign in source for sign in "*?[$<")
        for source in sources
    )


def _is_model(source: str) -> bool:
    path = source.strip("\"'").removeprefix("./").removeprefix("/")
    return path == "model" or path.startswith("model/")
