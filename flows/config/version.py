"""Which Slipway this is: pyproject.toml's version, the checkout's commit, the edition of cluster objects."""

import hashlib
import json
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import yaml

from flows.config.load import CHECKOUT

CLUSTER_OBJECTS = CHECKOUT / "deployments" / "kubernetes" / "cluster"
"""What `python -m deployments.cluster.bootstrap` creates in a cluster."""


def number() -> str:
    """As 0.1.0."""
    return str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])


def commit() -> str:
    """The checked-out commit, shortened, with `-dirty` where files differ from it; "" outside of git."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--exclude=*", "--abbrev=7", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@cache
def full() -> str:
    """Version and commit, as "0.2.0 (1a2b3c4)": what release records say of their writer."""
    return f"{number()} ({commit() or 'no commit'})"


def cluster_edition(folder: Path = CLUSTER_OBJECTS) -> str:
    """A hash of the objects that the bootstrap creates; comments in their files do not change it."""
    files = sorted(folder.glob("*.yaml"))
    content = [list(yaml.safe_load_all(file.read_text())) for file in files]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
