"""EfficientNet-Lite0 as an ONNX graph, from its published weights.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite; batch norms are
folded into the convolutions before them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from deployments.local.demo.sample_model.weights import Array

INPUT, OUTPUT = "input", "logits"
SIDE, CLASSES = 224, 1000
BATCH_NORM_EPSILON = 1e-3


class _Stage(NamedTuple):
    """A run of inverted residual blocks; kernels are read off the weights."""

    repeat: int
    stride: int
    expand: int
    channels_in: int
    channels_out: int


STAGES = (
    _Stage(1, 1, 1, 32, 16),
    _Stage(2, 2, 6, 16, 24),
    _Stage(2, 2, 6, 24, 40),
    _Stage(3, 2, 6, 40, 80),
    _Stage(3, 1, 6, 80, 112),
    _Stage(4, 2, 6, 112, 192),
    _Stage(1, 1, 6, 192, 320),
)


def convert(weights: Mapping[str, Array]) -> ModelProto:
    """A checked float32 graph: `input` [n, 3, 224, 224] to `logits` [n, 1000]."""
    graph = _Graph(weights)
    features = graph.convolution(INPUT, "_conv_stem", "_bn0", stride=2)
    number = 0
    for stage in STAGES:
        for repetition in range(stage.repeat):
            features = _block(graph, features, f"_blocks.{number}.", stage, first=repetition == 0)
            number += 1
    features = graph.convolution(features, "_conv_head", "_bn1")
    graph.classifier(features, "_fc")
    return graph.model()


def _block(graph: "_Graph", features: str, prefix: str, stage: _Stage, *, first: bool) -> str:
    """Widen, filter each channel by itself, narrow; and add what came in where the shapes agree."""
    entering = features
    channels = stage.channels_in if first else stage.channels_out
    stride = stage.stride if first else 1
    if stage.expand != 1:
        features = graph.convolution(features, prefix + "_expand_conv", prefix + "_bn0")
    features = graph.convolution(
        features, prefix + "_depthwise_conv", prefix + "_bn1", stride=stride, groups=channels * stage.expand
    )
    features = graph.convolution(features, prefix + "_project_conv", prefix + "_bn2", activated=False)
    if stride == 1 and channels == stage.channels_out:
        return graph.node("Add", [features, entering], prefix + "sum")
    return features


class _Graph:
    """Collects nodes and constants in the order in which the network runs."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._six = [self.constant(np.float32(0), "zero"), self.constant(np.float32(6), "six")]

    def constant(self, value: Array | np.float32, name: str) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def convolution(
        self, features: str, name: str, norm: str, *, stride: int = 1, groups: int = 1, activated: bool = True
    ) -> str:
        """A convolution with its batch norm folded in, then ReLU6 if `activated`."""
        kernel = self._weights[f"{name}.weight"]
        scale = self._weights[f"{norm}.weight"] / np.sqrt(
            self._weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON
        )
        bias = self._weights[f"{norm}.bias"] - self._weights[f"{norm}.running_mean"] * scale
        inputs = [
            features,
            self.constant(kernel * scale[:, None, None, None], name),
            self.constant(bias, norm),
        ]
        filtered = self.node(
            "Conv",
            inputs,
            f"{norm}.folded",
            strides=[stride] * 2,
            kernel_shape=kernel.shape[2:],
            group=groups,
            auto_pad="SAME_UPPER",
        )
        return self.node("Clip", [filtered, *self._six], f"{norm}.relu6") if activated else filtered

    def classifier(self, features: str, name: str) -> None:
        """Average over the picture, then one linear layer."""
        pooled = self.node("GlobalAveragePool", [features], "pooled")
        flat = self.node("Flatten", [pooled], "flat")
        weight = self.constant(self._weights[f"{name}.weight"], f"{name}.weight")
        bias = self.constant(self._weights[f"{name}.bias"], f"{name}.bias")
        self.node("Gemm", [flat, weight, bias], OUTPUT, transB=1)

    def model(self) -> ModelProto:
        graph = helper.make_graph(
            self._nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", CLASSES])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        checker.check_model(model)
        return model
