"""A real model to try the pipeline with: EfficientNet-Lite0, trained on ImageNet, in two versions.

1.0.0 is the published weights in float32; 1.1.0 the same network quantized to int8: a quarter of the size,
faster, and other answers, so that a model update shows.
"""

import os
from collections.abc import Callable
from pathlib import Path

VERSIONS = ("1.0.0", "1.1.0")
NAME = "classifier"


def make(version: str, folder: Path, say: Callable[[str], None]) -> Path:
    """`folder/<version>` with model.onnx and manifest.json, made when not there yet (seconds)."""
    if version not in VERSIONS:
        raise ValueError(f"the sample model's versions are {', '.join(VERSIONS)}, not {version!r}")
    made = folder / version
    if made.exists():
        say(f"Sample model {version} is there already: {made}")
        return made
    # onnx and onnxruntime's quantizer take 2 s to import, and are needed only the first time
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads it while it is imported
    from deployments.local.demo.sample_model import making  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    making.write(version, made, say)
    return made
