"""Proves, before a model is published, that ONNX Runtime serves it as its manifest says.

Whether its answers are right is proven later, with the app's own preprocessing, in the container's trial.
"""

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from flows.core.errors import DigestMismatch, ModelRejected
from flows.core.local_time import rfc3339
from flows.core.model import graph as graphs
from flows.core.model import manifest
from flows.core.model.graph import Graph
from flows.core.model.manifest import ModelManifest
from flows.services.models.model_process import CORRECT, opened


class Tensors(NamedTuple):
    """The names of a graph's input and of its output."""

    input: str
    output: str


def describe(file: Path, manifest_file: Path, *, name: str, version: str) -> ModelManifest:
    """An author's manifest, completed for publishing `file` now.

    `ModelRejected` when either file is missing, or the manifest is not complete; `DigestMismatch` when it
    states another model's digest.
    """
    for needed in (file, manifest_file):
        if not needed.is_file():
            raise ModelRejected(
                f"There is no file {needed}.", "Put the model and its manifest.json into one folder."
            )
    with file.open("rb") as content:
        digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
    author = manifest_file.read_bytes()
    if (promised := manifest.promised_digest(author)) not in {None, digest}:
        raise DigestMismatch(
            f"{file} has the digest {digest}; {manifest_file} promises {promised}.",
            "Take the file and the manifest that belong together, or leave `digest` out.",
        )
    return manifest.complete(
        author,
        source=str(manifest_file),
        name=name,
        version=version,
        digest=digest,
        size=file.stat().st_size,
        created=rfc3339(datetime.now(UTC)),
    )


def check(file: Path, described: ModelManifest) -> None:
    """Load the model and predict; `ModelRejected` says what keeps it from being published."""
    if not described.examples:
        raise ModelRejected(
            f"The manifest of {described.model} has no examples, so a wrong answer would go unnoticed.",
            "Add two or three pictures with their right answers.",
        )
    tensors = (described.input, described.output)
    graph = opened(file, str(file), asdict(described.preprocessing), tensors)
    require_agreement(graph, described)


def sole_tensors(graph: Graph) -> Tensors:
    """The names of the graph's one input and one output; `ModelRejected` when it has several."""
    if unclear := graphs.ambiguity(graph):
        raise ModelRejected(unclear, "Put a manifest beside it that names one of each.")
    return Tensors(graph.inputs[0].name, graph.outputs[0].name)


def require_agreement(graph: Graph, described: ModelManifest) -> None:
    """`ModelRejected` where the graph can't be served as the manifest says."""
    if wrong := graphs.contradiction(graph, described):
        raise ModelRejected(wrong, CORRECT)
