"""The duel of two of the sample's digits models, without any container: ONNX Runtime answers here."""

import io

import numpy as np
import onnxruntime
from PIL import Image

from deployments.local.demo import digits
from flows.core.duel.comparison import Pair, Reply, compare
from flows.core.duel.duel import Duel
from flows.core.duel.golden_set import GoldenExample, GoldenSet
from flows.core.duel.page import Thumbnails
from flows.core.duel.verdict import Margins
from flows.services.models.thumbnails import thumbnail

LABELS = tuple(str(digit) for digit in range(10))


def held(candidate: str, live: str = "1.0.0") -> Duel:
    """The duel of those versions."""
    pictures = digits.pictures()
    examples = [
        GoldenExample(f"inputs/{n:03}.png", digit, len(png)) for n, (digit, png) in enumerate(pictures)
    ]
    golden = GoldenSet(
        1,
        digits.NAME,
        "1",
        "sha256:" + "0" * 64,
        1,
        "2026-11-22T08:00:00Z",
        "digits",
        LABELS,
        tuple(examples),
    )
    pairs = [
        Pair(example, golden.label(example), ours, theirs)
        for example, ours, theirs in zip(examples, _replies(candidate), _replies(live), strict=True)
    ]
    names = (f"5a2f01c + digits {candidate}", f"5a2f01c + digits {live}, live in production")
    return Duel(golden, *names, compare(pairs), Margins(0.02, 1.15), 6.0)


def thumbnails(duel: Duel) -> Thumbnails:
    """Those of the examples that changed most."""
    content = {f"inputs/{number:03}.png": png for number, (_, png) in enumerate(digits.pictures())}
    names = [pair.example.input for pair in duel.comparison.most_changed]
    return {name: small for name in names if (small := thumbnail(content[name])) is not None}


def _replies(version: str) -> list[Reply]:
    session = onnxruntime.InferenceSession(digits.model(version) / "model.onnx")
    pixels = [np.asarray(Image.open(io.BytesIO(png))).reshape(64) / 255 for _, png in digits.pictures()]
    (chances,) = session.run(["probabilities"], {"X": np.asarray(pixels, np.float32)})
    return [_reply(row) for row in chances]


def _reply(row: "np.typing.NDArray[np.float32]") -> Reply:
    best = np.argsort(-row)[:3]
    return Reply(tuple((LABELS[index], round(100 * float(row[index]), 2)) for index in best), 5.0)
