"""Versions of the engine that builds and tests could escape from: named once, when the platform starts."""

import re
from collections.abc import Mapping, Sequence

ENGINE = (25, 0, 2)
"""With BuildKit 0.12.5: CVE-2024-23651 to 23653 in builds (moby/buildkit's advisories of January 2024)."""

RUNC = {(1, 2): (1, 2, 8), (1, 3): (1, 3, 3)}
"""Of each line, the first without CVE-2025-31133, -52565 and -52881; older lines have them."""

REMEDY = (
    "A build or a test could leave its container. Install docker 25.0.2 with runc 1.2.8 or newer, or check "
    "that your distribution has mended CVE-2024-23653 and CVE-2025-31133 in its version."
)


def warnings(components: Sequence[Mapping[str, str]]) -> list[str]:
    """What a person should know of the engine's components, as `docker version` lists them."""
    versions = {one["Name"].lower(): one["Version"] for one in components}
    engine, runc = versions.get("engine", ""), versions.get("runc", "")
    old = [f"docker {engine}"] if engine and _numbers(engine) < ENGINE else []
    old += [f"runc {runc}"] if runc and not _is_mended(_numbers(runc)) else []
    return [f"This machine has {' and '.join(old)}. {REMEDY}"] if old else []


def _is_mended(runc: tuple[int, ...]) -> bool:
    line = runc[:2]
    return runc >= RUNC[line] if line in RUNC else line > max(RUNC)


def _numbers(version: str) -> tuple[int, ...]:
    """The first three: 20.10.24 of 20.10.24+dfsg1."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
