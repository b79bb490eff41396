"""Proves, before a model is published, that ONNX Runtime serves it as its manifest says.

Whether its answers are right is proven later, with the app's own preprocessing, in the container's trial.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flows.core.errors import DigestMismatch, ModelRejected
from flows.core.local_time import rfc3339
from flows.core.model import manifest
from flows.core.model.manifest import ModelManifest

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


CORRECT = "Correct the model or its manifest, and publish again."


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
                f"There is no file {needed}.", "Publishing takes a model and its manifest.json."
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
    """Load the model and predict on zeros; `ModelRejected` says what keeps it from being served."""
    if not described.examples:
        raise ModelRejected(
            f"The manifest of {described.model} has no examples, so a wrong answer would go unnoticed.",
            "Add two or three pictures with their right answers.",
        )
    session = _load(file)
    for batch in _batches(session, described):
        answer = _predict_zeros(session, described, batch)
        if complaint := _complaint(answer, batch, described):
            raise ModelRejected(f"Predicting on zeros, output {described.output!r} {complaint}.", CORRECT)


def sole_tensors(file: Path) -> Tensors:
    """The names of the graph's one input and one output; `ModelRejected` when it has several."""
    session = _load(file)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelRejected(
            f"The model has inputs {_names(inputs)} and outputs {_names(outputs)}; which to use?",
            "Put a manifest beside it that names one of each.",
        )
    return Tensors(inputs[0].name, outputs[0].name)


def _load(file: Path) -> "InferenceSession":
    # half a second to import, numpy a tenth: every flow imports this module, only publishing loads a model
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read while it is imported
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say comes with its error
    with tempfile.TemporaryDirectory(prefix="slipway-model-") as alone, _told(f"{file} does not load"):
        # where it lies there may be files that it refers to; only itself gets into the store
        link = Path(alone) / "model.onnx"
        link.symlink_to(file.absolute())
        return onnxruntime.InferenceSession(link, options, providers=["CPUExecutionProvider"])


def _batches(session: "InferenceSession", described: ModelManifest) -> tuple[int, ...]:
    """The batch sizes to try: 1, and 2 where the graph says that any will do."""
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    if set(inputs) != {described.input}:
        raise ModelRejected(
            f"The manifest's input is {described.input!r}; the graph's inputs are {_names(inputs.values())}.",
            CORRECT,
        )
    outputs = session.get_outputs()
    if described.output not in {tensor.name for tensor in outputs}:
        raise ModelRejected(
            f"The manifest's output is {described.output!r}; the graph's outputs are {_names(outputs)}.",
            CORRECT,
        )
    taken, made = inputs[described.input], described.preprocessing.input_shape()
    batch, *picture = taken.shape
    agrees = len(picture) == len(made) and all(
        not isinstance(side, int) or side == other for side, other in zip(picture, made, strict=True)
    )
    if taken.type != "tensor(float)" or not agrees or batch not in {1, *_unknown(batch)}:
        raise ModelRejected(
            f"The graph takes {taken.type} {taken.shape}; preprocessing makes float32 [n, "
            f"{', '.join(map(str, made))}].",
            CORRECT,
        )
    return (1,) if batch == 1 else (1, 2)


def _predict_zeros(session: "InferenceSession", described: ModelManifest, batch: int) -> Any:
    import numpy as np  # noqa: PLC0415

    zeros = np.zeros((batch, *described.preprocessing.input_shape()), np.float32)
    with _told(f"The model does not predict on {batch} x zeros"):
        return session.run([described.output], {described.input: zeros})[0]


def _complaint(answer: Any, batch: int, described: ModelManifest) -> str | None:
    """What is wrong with the scores of `batch` pictures."""
    import numpy as np  # noqa: PLC0415

    if not isinstance(answer, np.ndarray):
        return "is no tensor (converted by skl2onnx: pass options={'zipmap': False})"
    if answer.shape != (batch, len(described.labels)):
        return f"has the shape {list(answer.shape)}, not {batch} x {len(described.labels)} labels"
    if not np.isfinite(answer).all():
        return "is not finite"
    are_odds = bool((answer >= 0).all()) and np.allclose(answer.sum(axis=1), 1, atol=1e-3)
    if described.activation == "none" and not are_odds:
        return "holds no probabilities, but activation is 'none': set it to 'softmax'"
    if described.activation == "softmax" and are_odds and len(described.labels) > 1:
        return "holds probabilities already, but activation is 'softmax': set it to 'none'"
    return None


@contextlib.contextmanager
def _told(happened: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise ModelRejected(f"{happened}: {str(error).splitlines()[0]}", CORRECT) from error


def _unknown(side: int | str | None) -> set[int | str | None]:
    """A dimension that the graph leaves open has a name or nothing for its size."""
    return set() if isinstance(side, int) else {side}


def _names(tensors: Iterable[Any]) -> str:
    return ", ".join(repr(tensor.name) for tensor in tensors)
