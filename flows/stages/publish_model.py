"""The stages from a trained model's files to a version in the store, which CI builds into an image."""

from pathlib import Path

from flows.core.model.manifest import ModelManifest
from flows.core.model.model import require_size
from flows.services.models import model_check
from flows.services.models.model_store import Published
from flows.stages.context import RunContext


def describe_model(run: RunContext, file: Path, name: str, version: str) -> ModelManifest:
    """The author's manifest beside the file, completed with name, version, digest and size."""
    onnx = _onnx(file)
    if onnx.is_file():
        require_size(onnx, onnx.stat().st_size, run.settings.model.largest)
    described = model_check.describe(onnx, onnx.with_name("manifest.json"), name=name, version=version)
    run.say(
        f"{described.model}: {described.description}, {described.size / 1e6:.1f} MB, {described.digest[:19]}."
    )
    return described


def validate_model(run: RunContext, file: Path, described: ModelManifest) -> None:
    """Load the model in ONNX Runtime, in a process of its own, and predict on `graph.LOOKS`."""
    model_check.check(_onnx(file), described)
    run.say(f"The model loads, and predicts {len(described.labels)} labels as its manifest says.")


def upload_model(run: RunContext, file: Path, described: ModelManifest) -> Published:
    """Upload model and manifest; the pointer to the newest moves last."""
    published = run.models.publish(_onnx(file), described, progress=run.progress(f"upload {described.model}"))
    run.say(f"{published}.")
    return published


def _onnx(file: Path) -> Path:
    return file / "model.onnx" if file.is_dir() else file
