"""What lies in a working tree and is in no commit: no run builds or releases it."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from flows.config.load import CHECKOUT, Settings

SHOWN = 5
"""Files that are named; the rest is counted."""


def notice(settings: Settings) -> str:
    """Which uncommitted files of the application and its manifests are left out, in a sentence; or ""."""
    source, manifests = settings.source.repository, settings.manifests
    folder = str(manifests.path or settings.app.manifests)
    wanted: dict[str, list[str]] = {source: list(settings.app.context)}
    wanted.setdefault(manifests.repository or source, []).append(folder)
    files = [file for repository, paths in wanted.items() for file in _changed(CHECKOUT / repository, paths)]
    if not files:
        return ""
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return f"uncommitted files: {', '.join(files[:SHOWN])}{more}. Commit them to build and release them."


def _changed(folder: Path, paths: Iterable[str]) -> list[str]:
    """Files below the paths that differ from the commit; none where the folder is no working tree."""
    status = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--")
    if not folder.is_dir():
        return []
    found = subprocess.run(["git", *status, *paths], cwd=folder, capture_output=True, text=True, check=False)
    return [entry[3:] for entry in found.stdout.split("\0") if entry]
