"""A model in ONNX Runtime, and its answers."""

import os
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from PIL import Image

from app.model import Model, ModelRejected, open_model
from app.preprocessing import Tensor, to_tensor

BEST = 3
"""Labels in an answer."""
LOADING_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    ValueError,
)
"""What ONNX Runtime raises for a model it can't load or run; they share no base but Exception."""

Answer = list[tuple[str, float]]
"""Labels with percentages, best first."""


class NotFinite(Exception):
    """The model's scores for a picture are not finite numbers; the message is one line."""


class Classifier:
    """Answers what is in a picture. May be asked by several threads at a time."""

    def __init__(self, model: Model) -> None:
        """Loads the model; raises ModelRejected when ONNX Runtime can't."""
        self.model = model
        self.is_warm = False
        try:
            self._session = onnxruntime.InferenceSession(
                str(model.file), _session_options(), providers=["CPUExecutionProvider"]
            )
        except LOADING_ERRORS as error:
            raise ModelRejected(f"{model.file} does not load: {_one_line(error)}") from error

    def warm_up(self) -> None:
        """Makes a first prediction, which is slower than the others and shows that model and manifest agree.

        Raises ModelRejected when they don't.
        """
        steps = self.model.preprocessing
        try:
            scores = self._scores(self.prepare(Image.new(steps.mode, (steps.crop, steps.crop))))
        except LOADING_ERRORS as error:
            raise ModelRejected(f"{self.model.file} does not take its input: {_one_line(error)}") from error
        if scores.size != (labels := len(self.model.labels)):
            raise ModelRejected(f"{self.model.file} gives {scores.size} scores for {labels} labels.")
        self.is_warm = True

    def prepare(self, picture: Image.Image) -> Tensor:
        """The model's input for a picture of the model's mode."""
        return to_tensor(picture, self.model.preprocessing)

    def classify(self, tensor: Tensor) -> Answer:
        """The best labels for a prepared picture. Raises NotFinite."""
        scores = self._scores(tensor)
        chances = softmax(scores) if self.model.activation == "softmax" else scores
        if not np.isfinite(chances).all():
            raise NotFinite("The model's scores for a picture are not finite numbers.")
        best = np.argsort(-chances, kind="stable")[:BEST]
        return [(self.model.labels[i], round(float(chances[i]) * 100, 2)) for i in best]

    def _scores(self, tensor: Tensor) -> NDArray[np.float64]:
        (output,) = self._session.run([self.model.output], {self.model.input: tensor})
        return np.asarray(output, dtype=np.float64).reshape(-1)


def load(directory: Path) -> Classifier:
    """The classifier of a model directory, warmed up. Raises ModelRejected."""
    classifier = Classifier(open_model(directory))
    classifier.warm_up()
    return classifier


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of any size as probabilities that add up to 1."""
    exponentials = np.exp(scores - scores.max())
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum()
    return probabilities


def _session_options() -> onnxruntime.SessionOptions:
    """One thread a prediction: gunicorn's threads already keep every core of a pod busy."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("INTRA_OP_THREADS", "1"))
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
