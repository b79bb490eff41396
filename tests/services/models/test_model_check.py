"""What keeps a model from being published."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from flows.core.errors import DigestMismatch, ModelRejected
from flows.core.model.manifest import ModelManifest
from flows.services.models import model_check
from tests.services import tiny_model


def described(file: Path, **changes: Any) -> ModelManifest:
    manifest = file.with_name("manifest.json")
    manifest.write_text(json.dumps(tiny_model.author(**changes)))
    return model_check.describe(file, manifest, name="tiny", version="1.0.0")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny_model.write_onnx(tmp_path / "tiny.onnx")


@pytest.mark.parametrize("batch", ["n", 1])
def test_a_model_that_its_manifest_describes_passes(tmp_path: Path, batch: int | str) -> None:
    file = tiny_model.write_onnx(tmp_path / "tiny.onnx", batch=batch)
    model_check.check(file, described(file))


def test_a_manifest_without_examples_is_refused(file: Path) -> None:
    with pytest.raises(ModelRejected, match="has no examples, so a wrong answer would go unnoticed"):
        model_check.check(file, described(file, examples=[]))


def test_a_model_that_predicts_nan_is_refused(tmp_path: Path) -> None:
    file = tiny_model.write_onnx(tmp_path / "tiny.onnx", nan=True)
    with pytest.raises(ModelRejected, match="Predicting on zeros, output 'scores' is not finite"):
        model_check.check(file, described(file))


def test_a_model_that_overflows_on_white_alone_is_refused(tmp_path: Path) -> None:
    """The reciprocal of what is missing to white."""
    one = numpy_helper.from_array(np.ones((1, 3), np.float32), "one")
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["one", "mean"], ["missing"]),
        helper.make_node("Div", ["one", "missing"], ["scores"]),
    ]
    file = _save(tmp_path, nodes, [one], batch=1)
    with pytest.raises(ModelRejected, match="Predicting on a white picture, output 'scores' is not finite"):
        model_check.check(file, described(file))


def test_a_graph_that_promises_any_batch_but_takes_one_picture_is_refused(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([1, 16]), "shape")
    weight = numpy_helper.from_array(np.ones((16, 3), np.float32), "weight")
    nodes = [
        helper.make_node("Reshape", ["pixels", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["scores"]),
    ]
    file = _save(tmp_path, nodes, [shape, weight])
    with pytest.raises(ModelRejected, match="The model does not predict on 2 x zeros"):
        model_check.check(file, described(file))


def test_probabilities_that_would_go_through_softmax_again_are_refused(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((16, 3), np.float32), "weight")
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    file = _save(tmp_path, nodes, [weight])
    model_check.check(file, described(file, activation="none"))
    with pytest.raises(ModelRejected, match="holds probabilities already, but activation is 'softmax'"):
        model_check.check(file, described(file))


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiny.onnx"
    file.write_bytes(b"not a graph")
    with pytest.raises(
        ModelRejected, match=r"tiny.onnx is no ONNX model, or is cut off: .*protobuf parsing failed"
    ):
        model_check.check(file, described(file))


def test_a_graph_whose_weights_lie_in_another_file_is_refused(file: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart.onnx"
    onnx.save(onnx.load(file), apart, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ModelRejected, match=r"does not load: .*[Ee]xternal data"):
        model_check.check(apart, described(apart))


def test_describing_needs_both_files(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match=rf"There is no file {tmp_path}/manifest.json"):
        model_check.describe(file, tmp_path / "manifest.json", name="tiny", version="1.0.0")
    with pytest.raises(ModelRejected, match=rf"There is no file {tmp_path}/other.onnx"):
        model_check.describe(tmp_path / "other.onnx", file, name="tiny", version="1.0.0")


def _save(
    folder: Path, nodes: list[onnx.NodeProto], constants: list[TensorProto], batch: int | str = "n"
) -> Path:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 1, 4, 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 3])],
        constants,
    )
    file = folder / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return file


def test_a_digest_that_the_author_states_must_be_the_files(file: Path) -> None:
    right = described(file).digest
    assert described(file, digest=right).digest == right
    with pytest.raises(DigestMismatch, match=f"has the digest {right}; .*manifest.json promises sha256:0"):
        described(file, digest="sha256:" + "0" * 64)
