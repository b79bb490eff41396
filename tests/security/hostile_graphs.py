"""Models of a few bytes that ask for more than a worker gives."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def large(folder: Path, numbers: int) -> Path:
    """A few bytes that want so many numbers while they are loaded."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["numbers"]),
        helper.make_node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
        helper.make_node("Add", ["pixels", "sum"], ["scores"]),
    ]
    return _saved(folder, nodes, [numpy_helper.from_array(np.array([numbers], np.int64), "shape")])


def endless(folder: Path) -> Path:
    """A loop that doubles its input 2^60 times."""
    tensor = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["v", "v"], ["twice"])],
        "body",
        [
            tensor("i", TensorProto.INT64, []),
            tensor("go", TensorProto.BOOL, []),
            tensor("v", TensorProto.FLOAT, ["n", 1, 4, 4]),
        ],
        [tensor("go_on", TensorProto.BOOL, []), tensor("twice", TensorProto.FLOAT, ["n", 1, 4, 4])],
    )
    times = numpy_helper.from_array(np.array(1 << 60), "times")
    go = numpy_helper.from_array(np.array(True), "yes")
    return _saved(
        folder, [helper.make_node("Loop", ["times", "yes", "pixels"], ["scores"], body=body)], [times, go]
    )


def weights_elsewhere(folder: Path, location: str) -> Path:
    """Weights that are in another file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    return _saved(folder, [helper.make_node("Add", ["pixels", "w"], ["scores"])], [weights])


def _saved(folder: Path, nodes: list[onnx.NodeProto], constants: list[TensorProto]) -> Path:
    """A model of these nodes, from pixels to scores: its file."""
    sides: list[str | int | None] = ["n", 1, 4, 4]
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file = folder / "hostile.onnx"
    file.write_bytes(model.SerializeToString())
    return file
