"""A trained model, and the manifest that tells the app how to serve it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Model:
    """One published version of a model.

    In the store it is `<name>/<version>/model.onnx` with `<name>/<version>/manifest.json` beside it, and
    `<name>/latest.json` points to the newest. Digests are `sha256:` and 64 hex digits; `size` is bytes of the
    model file. `manifest_digest` covers labels, preprocessing and examples, which change answers as much as
    weights do.
    """

    name: str
    version: str
    digest: str
    manifest_digest: str
    size: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def to_json(self) -> dict[str, Any]:
        """The pointer file's content."""
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "manifest_digest": self.manifest_digest,
            "size": self.size,
        }
