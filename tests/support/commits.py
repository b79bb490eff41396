"""Commits of folders that tests have written."""

import subprocess
from pathlib import Path


def commit_all(folder: Path, subject: str) -> str:
    """Commit all files of the folder on main, in a repository that is made where there is none: its SHA."""
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", subject]):
        subprocess.run(["git", *who, *command], cwd=folder, check=True)
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return found.stdout.strip()
