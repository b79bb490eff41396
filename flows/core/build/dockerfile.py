"""What Dockerfiles of branches that are not released may do: build from the base image, with own caches.

The engine enforces none of this: its builder pulls any image, lets a `# syntax=` line choose the program that
interprets the rest, and shares the cache of a mount among all builds. A build argument in a mount's id would
not help: the branch writes the Dockerfile, and builders before Dockerfile 1.3 take the id literally.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from flows.core.build.dockerfile_readings import Line, readings
from flows.core.build.trust import Trust
from flows.core.errors import BuildFailed

OWN = Trust.BRANCH.prefix
"""How the ids of these builds' cache mounts begin."""

BASES = {"$BASE_IMAGE", "${BASE_IMAGE}", "scratch"}
REMEDY = "Change that line, or merge it first: on the released branch, a Dockerfile may do this."

DIRECTIVE = re.compile(r"\s*(?:#|//)\s*syntax\s*=|\s*#\s*escape\s*=\s*[^\\\s]", re.IGNORECASE)
OTHER_LANGUAGE = re.compile(r"\s*(?:\{|#!)")
INSTRUCTION = re.compile(r"\s*(?:ONBUILD\s+)*(FROM|COPY|ADD|RUN)\s+(.*)", re.IGNORECASE | re.DOTALL)
STAGE = re.compile(r"[a-z][a-z0-9._-]*")
MOUNT = re.compile(r"--mount=(\S+)")


def confined(text: str, name: str) -> str:
    """The Dockerfile of that name, with cache mounts that only builds of its level of trust share.

    `BuildFailed` names the line that does what only Dockerfiles of the released branch may, in any of the
    ways in which builders read it.
    """
    own = MOUNT.sub(_with_own_cache, text.removeprefix("\ufeff"))
    for instructions in readings(own):
        reading = _Reading(name)
        for instruction in instructions:
            reading.check(instruction)
    return own


@dataclass
class _Reading:
    """One way to read the Dockerfile of that name: the stages so far, "" where one has no name."""

    name: str
    stages: list[str] = field(default_factory=list)

    def check(self, instruction: Line) -> None:
        number, text = instruction
        if DIRECTIVE.match(text) or (number == 1 and OTHER_LANGUAGE.match(text)):
            raise self._refused(number, "chooses what interprets the Dockerfile", text)
        if found := INSTRUCTION.match(text):
            flags, arguments = _flags(found[2])
            for flag in flags:
                self._check_flag(number, flag)
            if found[1].upper() == "FROM":
                self._check_base(number, arguments)

    def _check_base(self, number: int, arguments: Sequence[str]) -> None:
        named = len(arguments) == 3 and arguments[1].upper() == "AS"
        if not named and len(arguments) != 1:
            return  # no builder takes it; `from x import y` in a script looks like this
        if arguments[0] not in BASES and arguments[0].lower() not in self.stages:
            raise self._refused(number, "takes an image that is neither BASE_IMAGE nor a stage", arguments[0])
        stage = arguments[2].lower() if named else ""
        self.stages.append(stage if STAGE.fullmatch(stage) else "")

    def _check_flag(self, number: int, flag: str) -> None:
        if any(character in flag for character in "\"'\\"):
            raise self._refused(number, "has quotes or escapes in a flag", flag)
        option, _, value = flag.partition("=")
        options = _options(value) if option == "--mount" else [("from", value)] if option == "--from" else []
        for key, source in options:
            known = {*self.stages, *map(str, range(len(self.stages)))} - {""}
            if key == "from" and source.lower() not in known:
                raise self._refused(number, "takes files from an image that is no stage", source)
            if key == "type" and "$" in source:
                raise self._refused(number, "has a mount of a variable type", flag)
        if _is_cache(options) and not _has_own_id(options):
            raise self._refused(number, "has a cache mount whose id can't be read", flag)

    def _refused(self, number: int, does: str, quoted: str) -> BuildFailed:
        return BuildFailed(
            f"{self.name}, line {number}, {does}: {quoted.strip()[:80]}. The commit is not released.",
            REMEDY,
        )


def _with_own_cache(found: re.Match[str]) -> str:
    """The mount; one of a cache has an id of its own: by default, that is where it is mounted."""
    options = _options(found[1])
    if not _is_cache(options):
        return found[0]
    values = dict(options)
    places = (values.get(key) for key in ("id", "target", "dst", "destination"))
    kept = [part for part in found[1].split(",") if part.partition("=")[0].lower() != "id"]
    own = next(filter(None, places), "")
    return f"--mount={','.join([*kept, f'id={OWN}{own}'])}"


def _has_own_id(options: Sequence[tuple[str, str]]) -> bool:
    ids = [value for key, value in options if key == "id"]
    return bool(ids) and all(value.startswith(OWN) for value in ids)


def _is_cache(options: Sequence[tuple[str, str]]) -> bool:
    return any(key == "type" and value.lower() == "cache" for key, value in options)


def _options(mount: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in mount.split(","))
    return [(key.lower(), value) for key, _, value in parts]


def _flags(arguments: str) -> tuple[list[str], list[str]]:
    """The flags before the first word that is none, and what follows."""
    words = arguments.split()
    first = next((at for at, word in enumerate(words) if not word.startswith("--")), len(words))
    return words[:first], words[first:]
