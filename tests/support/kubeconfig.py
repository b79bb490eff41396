"""A kubeconfig for a stand-in of an API server."""

from pathlib import Path

import yaml


def kubeconfig(folder: Path, context: str, server: str) -> Path:
    """The file, in that folder; its one context leads to that address, without credentials."""
    content = {
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [{"name": context, "cluster": {"server": server}}],
        "users": [{"name": context, "user": {}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file
