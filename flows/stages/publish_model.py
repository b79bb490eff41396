"""The stages from a trained model's files to a version in the store that CI takes up."""

from pathlib import Path

from flows.core.model.manifest import ModelManifest
from flows.services.models import model_check
from flows.services.models.model_store import Published
from flows.stages.context import RunContext


def describe_model(run: RunContext, file: Path, name: str, version: str) -> ModelManifest:
    """The author's manifest beside the file, completed with name, version, digest and size."""
    onnx = _onnx(file)
    described = model_check.describe(onnx, onnx.with_name("manifest.json"), name=name, version=version)
    run.say(
        f"{described.model}: {described.description}, {described.size / 1e6:.1f} MB, {described.digest[:19]}."
    )
    return described


def validate_model(run: RunContext, file: Path, described: ModelManifest) -> None:
    """Load the model in ONNX Runtime and predict on zeros."""
    model_check.check(_onnx(file), described)
    run.say(f"It loads, and predicts {len(described.labels)} labels as its manifest says.")


def upload_model(run: RunContext, file: Path, described: ModelManifest) -> Published:
    """Upload model and manifest; the pointer to the newest moves last."""
    published = run.models.publish(_onnx(file), described, progress=run.progress(f"upload {described.model}"))
    run.say(f"{published}.")
    return published


def _onnx(file: Path) -> Path:
    return file / "model.onnx" if file.is_dir() else file
