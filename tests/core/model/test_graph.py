"""A graph and its answers agree with the manifest, or it is said what does not."""

import json
from dataclasses import replace
from typing import Any

import pytest

from flows.core.model import manifest
from flows.core.model.graph import LOOKS, Answer, Graph, Tensor, ambiguity, contradiction
from flows.core.model.manifest import ModelManifest
from tests.services import tiny_model

INPUT = Tensor("pixels", "tensor(float)", ("n", 1, 4, 4))
OUTPUT = Tensor("scores", "tensor(float)", ("n", 3))
GOOD = tuple(Answer((look.batch, 3), finite=True) for look in LOOKS)
GRAPH = Graph((INPUT,), (OUTPUT,), GOOD)
WHITE = next(index for index, look in enumerate(LOOKS) if look.picture == 255)


def described(**changes: Any) -> ModelManifest:
    facts: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "digest": "sha256:" + "0" * 64,
        "size": 1,
        "created": "2026-11-22T08:00:00Z",
    }
    return manifest.complete(json.dumps(tiny_model.author(**changes)).encode(), source="it", **facts)


def preprocessing(**changes: Any) -> dict[str, Any]:
    return {"preprocessing": tiny_model.AUTHOR["preprocessing"] | changes}


def answering(at: int, answer: Answer) -> Graph:
    """The good graph, with another answer to one look."""
    return replace(GRAPH, answers=(*GOOD[:at], answer, *GOOD[at + 1 :]))


def taking(*shape: int | str | None, kind: str = "tensor(float)") -> Graph:
    return replace(GRAPH, inputs=(Tensor("pixels", kind, shape),))


@pytest.mark.parametrize(
    "graph",
    [
        GRAPH,
        taking(None, 1, None, "side"),
        replace(taking(1, 1, 4, 4), answers=(GOOD[0], Answer(error="takes one"), *GOOD[2:])),
    ],
    ids=["it says the same", "it leaves sides open", "it takes one picture at a time"],
)
def test_a_graph_that_its_manifest_describes_is_served(graph: Graph) -> None:
    assert contradiction(graph, described()) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"input": "image"}, "The manifest's input is 'image'; the graph's inputs are 'pixels'."),
        ({"output": "logits"}, "The manifest's output is 'logits'; the graph's outputs are 'scores'."),
        ({"labels": ["dark", "grey"]}, "output 'scores' has the shape [1, 3], not 1 x 2 labels."),
        (
            preprocessing(crop=8),
            "takes tensor(float) ['n', 1, 4, 4]; preprocessing makes float32 [n, 1, 8, 8].",
        ),
        (preprocessing(mode="RGB"), "preprocessing makes float32 [n, 3, 4, 4]."),
        (preprocessing(layout="NHWC"), "preprocessing makes float32 [n, 4, 4, 1]."),
        (preprocessing(layout="flat"), "preprocessing makes float32 [n, 16]."),
        ({"activation": "none"}, "holds no probabilities, but activation is 'none': set it to 'softmax'."),
    ],
)
def test_a_manifest_that_contradicts_the_graph_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert expected in (contradiction(GRAPH, described(**changes)) or "")


ODDS = replace(GRAPH, answers=tuple(replace(answer, odds=True) for answer in GOOD))


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (answering(0, Answer((1, 3))), "Predicting on zeros, output 'scores' is not finite."),
        (answering(WHITE, Answer((1, 3))), "Predicting on a white picture, output 'scores' is not finite."),
        (answering(1, Answer(error="no")), "The model does not predict on 2 x zeros: no."),
        (answering(1, Answer((1, 3), finite=True)), "on 2 x zeros, output 'scores' has the shape [1, 3]"),
        (answering(0, Answer()), "is no tensor (converted by skl2onnx"),
        (taking(8, 1, 4, 4), "The graph takes tensor(float) [8, 1, 4, 4]"),
        (taking("n", 1, 4, 4, kind="tensor(uint8)"), "The graph takes tensor(uint8)"),
        (taking(), "The graph takes tensor(float) []"),
        (replace(GRAPH, inputs=()), "the graph's inputs are ."),
        (replace(GRAPH, inputs=(INPUT, replace(INPUT, name="size"))), "inputs are 'pixels', 'size'."),
        (ODDS, "holds probabilities already, but activation is 'softmax': set it to 'none'."),
    ],
)
def test_a_graph_that_can_not_be_served_is_refused(graph: Graph, expected: str) -> None:
    assert expected in (contradiction(graph, described()) or "")


def test_probabilities_need_no_activation() -> None:
    assert contradiction(ODDS, described(activation="none")) is None


def test_without_a_manifest_a_graph_needs_one_input_and_one_output() -> None:
    assert ambiguity(GRAPH) is None
    two = replace(GRAPH, outputs=(OUTPUT, replace(OUTPUT, name="more")))
    assert "outputs 'scores', 'more'; only one of each" in (ambiguity(two) or "")
