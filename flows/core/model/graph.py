"""What ONNX Runtime says about a model's graph and answers to some inputs; whether the manifest agrees."""

from collections.abc import Iterable
from dataclasses import dataclass as plain_dataclass
from typing import Literal

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from flows.core.model.manifest import ModelManifest

_exact = ConfigDict(extra="forbid", strict=True)


@plain_dataclass(frozen=True)
class Look:
    """An input to try: `batch` pictures of one shade (0 to 255), of noise, or zeros without preprocessing."""

    name: str
    batch: int
    picture: Literal["zeros", "noise"] | int


LOOKS = (
    Look("zeros", 1, "zeros"),
    Look("2 x zeros", 2, "zeros"),
    Look("a black picture", 1, 0),
    Look("a white picture", 1, 255),
    Look("noise", 1, "noise"),
)
"""Half precision overflows at the edges of what pictures hold, and gives no finite numbers there alone."""


@dataclass(frozen=True, config=_exact)
class Tensor:
    """An input or output of the graph; a side that the graph leaves open has a name, or nothing."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, config=_exact)
class Answer:
    """The model's answer to a look: the scores' shape (None: it was no tensor), or why there are none.

    `finite`: whether all are finite numbers; `odds`: whether they are probabilities that sum up to 1.
    """

    shape: tuple[int, ...] | None = None
    finite: bool = False
    odds: bool = False
    error: str = ""


@dataclass(frozen=True, config=_exact)
class Graph:
    """A model's inputs and outputs, and its answers to the looks, in order; or why it does not load."""

    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    answers: tuple[Answer, ...] = ()
    error: str = ""


graphs = TypeAdapter(Graph)


def contradiction(graph: Graph, described: ModelManifest) -> str | None:
    """Why a graph with answers to `LOOKS` can't be served as its manifest says; None where it can."""
    return _of_tensors(graph, described) or _of_answers(graph, described)


def ambiguity(graph: Graph) -> str | None:
    """Why it is not known which input and output to use; None where there is one of each."""
    if len(graph.inputs) == 1 and len(graph.outputs) == 1:
        return None
    return (
        f"The model has inputs {_names(graph.inputs)} and outputs {_names(graph.outputs)}; only one of each "
        "can be used without a manifest."
    )


def _of_tensors(graph: Graph, described: ModelManifest) -> str | None:
    if [tensor.name for tensor in graph.inputs] != [described.input]:
        return f"The manifest's input is {described.input!r}; the graph's inputs are {_names(graph.inputs)}."
    if described.output not in {tensor.name for tensor in graph.outputs}:
        return (
            f"The manifest's output is {described.output!r}; the graph's outputs are {_names(graph.outputs)}."
        )
    (taken,), made = graph.inputs, described.preprocessing.input_shape()
    batch, *picture = taken.shape or (0,)
    agrees = len(picture) == len(made) and all(
        not isinstance(side, int) or side == other for side, other in zip(picture, made, strict=True)
    )
    if taken.type != "tensor(float)" or not agrees or (isinstance(batch, int) and batch != 1):
        sides = ", ".join(map(str, made))
        return f"The graph takes {taken.type} {list(taken.shape)}; preprocessing makes float32 [n, {sides}]."
    return None


def _of_answers(graph: Graph, described: ModelManifest) -> str | None:
    takes_one = graph.inputs[0].shape[0] == 1
    seen = [
        (look, answer)
        for look, answer in zip(LOOKS, graph.answers, strict=True)
        if look.batch == 1 or not takes_one
    ]
    for look, answer in seen:
        if answer.error:
            return f"The model does not predict on {look.name}: {answer.error.rstrip('.')}."
        if wrong := _of_scores(answer, look.batch, described):
            return f"Predicting on {look.name}, output {described.output!r} {wrong}."
    if described.activation == "softmax" and len(described.labels) > 1 and all(one.odds for _, one in seen):
        return (
            f"Predicting on {seen[0][0].name}, output {described.output!r} holds probabilities already, but "
            "activation is 'softmax': set it to 'none'."
        )
    return None


def _of_scores(answer: Answer, batch: int, described: ModelManifest) -> str | None:
    """What is wrong with the scores of `batch` pictures."""
    if answer.shape is None:
        return "is no tensor (converted by skl2onnx: pass options={'zipmap': False})"
    if answer.shape != (batch, len(described.labels)):
        return f"has the shape {list(answer.shape)}, not {batch} x {len(described.labels)} labels"
    if not answer.finite:
        return "is not finite"
    if described.activation == "none" and not answer.odds:
        return "holds no probabilities, but activation is 'none': set it to 'softmax'"
    return None


def _names(tensors: Iterable[Tensor]) -> str:
    return ", ".join(repr(tensor.name) for tensor in tensors)
