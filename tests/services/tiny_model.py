"""The smallest model with all that a real one has: 4 x 4 grey pixels to three labels."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from flows.core.model.manifest import ModelManifest
from flows.services.models import model_check

AUTHOR: dict[str, Any] = {
    "schema": 1,
    "description": "says what the brightness is",
    "input": "pixels",
    "output": "scores",
    "activation": "softmax",
    "labels": ["dark", "grey", "bright"],
    "preprocessing": {
        "mode": "L",
        "shorter_side": None,
        "crop": 4,
        "resample": "bilinear",
        "mean": [0.0],
        "std": [255.0],
        "layout": "NCHW",
    },
    "examples": [
        {"name": "night.png", "input": "aGk=", "expected": [["dark", 90.0], ["grey", 8.0]], "tolerance": 5.0}
    ],
}


def author(**changes: Any) -> dict[str, Any]:
    """The author's manifest, with changes."""
    return copy.deepcopy(AUTHOR) | changes


def write_onnx(file: Path, *, batch: int | str = "n", scores: str = "scores", nan: bool = False) -> Path:
    """A graph that loads, answers [n, 3], and has the bias NaN if wished."""
    weight = np.full((16, 3), np.nan if nan else 0.1, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["pixels"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weight", "bias"], [scores]),
        ],
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 1, 4, 4])],
        [helper.make_tensor_value_info(scores, TensorProto.FLOAT, [batch, 3])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.array([2, 1, 0], np.float32), "bias"),
        ],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return file


def write(folder: Path, version: str, content: bytes, **changes: Any) -> tuple[Path, ModelManifest]:
    """A model file of that content, which need not be a graph, and its manifest, completed."""
    folder.mkdir(parents=True, exist_ok=True)
    file, manifest = folder / "model.onnx", folder / "manifest.json"
    file.write_bytes(content)
    manifest.write_text(json.dumps(author(**changes)))
    return file, model_check.describe(file, manifest, name="tiny", version=version)
