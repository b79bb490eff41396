"""The stages from a trained model's files to a version in the store that CI takes up."""

from dataclasses import dataclass
from pathlib import Path

from flows.core.errors import ModelRejected
from flows.run import Run


@dataclass(frozen=True)
class ModelFiles:
    """What a data scientist hands over: the ONNX file, and the manifest without what publishing fills in."""

    onnx: Path
    manifest: Path


def find_files(run: Run, path: str) -> ModelFiles:
    """The model at `path`: an ONNX file, or a folder with model.onnx; its manifest.json lies beside it.

    `ModelRejected` says which of them is missing.
    """
    given = Path(path).expanduser().absolute()
    onnx = given / "model.onnx" if given.is_dir() else given
    files = ModelFiles(onnx, onnx.with_name("manifest.json"))
    for file in (files.onnx, files.manifest):
        if not file.is_file():
            raise ModelRejected(
                f"There is no file {file} on the machine that runs the flow.",
                "Give the path of the ONNX file, with manifest.json beside it.",
            )
    run.say(f"Model {files.onnx} ({files.onnx.stat().st_size / 1e6:.1f} MB), manifest {files.manifest}.")
    return files
