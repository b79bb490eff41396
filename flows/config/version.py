"""Which Slipway this is: pyproject.toml's version, and the checkout's commit."""

import subprocess
import tomllib

from flows.config.load import CHECKOUT


def number() -> str:
    """As 0.1.0."""
    return str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])


def commit() -> str:
    """The checked-out commit, shortened, with `-dirty` where files differ from it; "" outside of git."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--exclude=*", "--abbrev=7", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
