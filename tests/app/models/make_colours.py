"""Makes the colours model beside this file: says whether a picture is more red or more blue.

Where the digits are grey, flat and end in probabilities, this one is in colour, NCHW, for one picture a time,
and ends in scores that need a softmax. Its sums can be done by hand. It is committed; `onnx` makes it again:

    .venv/bin/python tests/app/models/make_colours.py
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent / "colours"
SIDE = 4


def main() -> None:
    weights = np.array([[2, 0, 0], [0, 0, 2]], np.float32)  # red, blue
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["picture"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["colour"]),
            helper.make_node("Gemm", ["colour", "weights"], ["scores"], transB=1),
        ],
        "colours",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx = model.SerializeToString()
    HERE.mkdir(exist_ok=True)
    (HERE / "model.onnx").write_bytes(onnx)
    (HERE / "manifest.json").write_text(json.dumps(manifest(onnx), indent=2) + "\n")


def manifest(onnx: bytes) -> dict[str, object]:
    return {
        "schema": 1,
        "name": "colours",
        "version": "1.0.0",
        "digest": f"sha256:{hashlib.sha256(onnx).hexdigest()}",
        "size": len(onnx),
        "created": "2026-11-22T08:00:00Z",
        "description": "More red or more blue",
        "input": "picture",
        "output": "scores",
        "activation": "softmax",
        "labels": ["red", "blue"],
        "preprocessing": {
            "mode": "RGB",
            "shorter_side": 8,
            "crop": SIDE,
            "resample": "bicubic",
            "mean": [0.0, 127.5, 0.0],
            "std": [255.0, 127.5, 255.0],
            "layout": "NCHW",
        },
        "examples": [],
    }


if __name__ == "__main__":
    main()
