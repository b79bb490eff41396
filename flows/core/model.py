"""A trained model, and the pointer that says which of its versions is the newest."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from flows.core.errors import ModelRejected


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
        return asdict(self)


@dataclass(frozen=True)
class Latest:
    """What `<name>/latest.json` says: the newest model, and when it was published (RFC 3339, UTC)."""

    model: Model
    published: str

    def to_bytes(self) -> bytes:
        """The file's content."""
        return f"{json.dumps(self.model.to_json() | {'published': self.published}, indent=1)}\n".encode()

    @classmethod
    def parse(cls, content: bytes, *, source: str) -> Self:
        """Read back what `to_bytes` wrote; `ModelRejected` names `source` when it is something else."""
        try:
            found = json.loads(content)
            model = Model(**{key: found[key] for key in Model.__dataclass_fields__})
            return cls(model, str(found["published"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ModelRejected(
                f"{source} is no pointer to a model: {error!r}.", "Publish a version; that writes it anew."
            ) from None
