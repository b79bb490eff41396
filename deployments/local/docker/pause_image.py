"""The image that holds a pod's namespaces open, as an archive that containerd imports."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping

NAME = "localhost/slipway/pause:1"
"""As containerd.toml of the node image names it; no registry has it."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The machine's names for them, and the images'."""


def archive(program: bytes) -> bytes:
    """The archive (in docker's format) of an image with nothing but that static program."""
    layer = _tar({"pause": program})
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "layer.tar": layer,
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
