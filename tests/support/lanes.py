"""The lanes of `make test`: which tests run together, and the folders of tests/ that each looks through.

To look through all folders takes seven seconds of each process.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Lane:
    """The marks of its tests, as pytest's option -m, and the folders that have some."""

    marks: str
    folders: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders, as pytest's arguments."""
        return tuple(f"tests/{folder}" for folder in self.folders)


LANES = {
    "released": Lane("released and not exclusive", ("browser", "end_to_end")),
    "nodes": Lane("own_cluster", ("local",)),
    "command line": Lane("apart", ("cli",)),
    "engine": Lane("apart", ("local", "services/images", "stages")),
    "servers": Lane("apart", ("checks", "services/kubernetes", "services/registry")),
    "parallel": Lane(
        "platform and not (released or exclusive or own_cluster or apart)",
        ("explain", "flows", "local", "services", "stages", "triggers"),
    ),
    "exclusive": Lane("platform and exclusive", ("automations", "flows", "local", "services")),
}
APART = ("command line", "engine", "servers")
"""The lanes whose tests use nothing of the platform: programs, docker, and servers of their own."""

SIMULATIONS = Lane("not platform", ("azure", "core"))
"""Slow tests that need no platform."""

NOT_FAST = ("browser", "end_to_end", "flows")
"""Folders in which every test needs the platform."""


def runs(path: str, has: Callable[[str], bool]) -> bool:
    """Whether the lane of a test, by its marks, looks through the folder that the test is in."""
    if not has("platform"):
        return path.startswith(_under(SIMULATIONS.folders)) if has("slow") else _is_fast(path)
    return any(path.startswith(_under(LANES[lane].folders)) for lane in _lanes(has))


def _is_fast(path: str) -> bool:
    return not path.startswith(_under(NOT_FAST))


def _lanes(has: Callable[[str], bool]) -> tuple[str, ...]:
    if has("own_cluster"):
        return ("nodes",)
    if has("apart"):
        return APART
    if has("exclusive"):
        return ("exclusive",)
    return ("released",) if has("released") else ("parallel",)


def _under(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"tests/{folder}/" for folder in folders)
