"""Makes the files beside this one: three models of digits, and the pictures that none of them was trained on.

They are committed, so nothing needs this script. To run it, in an environment of its own:

    pip install scikit-learn skl2onnx pillow && python deployments/local/demo/digits/training.py
"""

import base64
import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skl2onnx import to_onnx  # type: ignore[import-not-found] # these are in no lock, see above
from sklearn.datasets import load_digits  # type: ignore[import-not-found]
from sklearn.model_selection import train_test_split  # type: ignore[import-not-found]
from sklearn.neural_network import MLPClassifier  # type: ignore[import-not-found]

HERE = Path(__file__).parent
BRIGHTEST = 16  # of the data set's values; 255 in a picture
NEURONS = {"1.0.0": (24, 0), "1.1.0": (6, 1), "1.2.0": (64, 1)}
"""By version: neurons of the hidden layer, and where its random numbers begin."""


def main() -> None:
    """Write the models with their manifests, and the pictures."""
    images, digits = load_digits(return_X_y=True)
    scaled = (images / BRIGHTEST).astype(np.float32)
    train, test, train_digits, test_digits = train_test_split(scaled, digits, random_state=0)
    rows = [
        [digit, *(pixels * BRIGHTEST).astype(int)] for digit, pixels in zip(test_digits, test, strict=True)
    ]
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    (HERE / "pictures.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    for version, (neurons, seed) in NEURONS.items():
        network = MLPClassifier(hidden_layer_sizes=(neurons,), max_iter=600, random_state=seed)
        network.fit(train, train_digits)
        print(f"{version}: right on {network.score(test, test_digits):.1%} of the pictures")
        onnx = to_onnx(network, train[:1], options={"zipmap": False}, target_opset=17).SerializeToString()
        chances = network.predict_proba(test)
        right = chances.argmax(axis=1) == test_digits
        surest = [
            int(np.flatnonzero((test_digits == d) & right)[chances[(test_digits == d) & right, d].argmax()])
            for d in (3, 8)
        ]
        examples = [example(f"{test_digits[i]}.png", test[i], chances[i]) for i in surest]
        folder = HERE / version
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(onnx)
        (folder / "manifest.json").write_text(json.dumps(manifest(neurons, onnx, examples), indent=2) + "\n")


def example(name: str, pixels: Any, chances: Any) -> dict[str, object]:
    """An example of a model's manifest."""
    file = io.BytesIO()
    Image.fromarray((pixels.reshape(8, 8) * 255).round().astype(np.uint8)).save(file, "PNG")
    best = np.argsort(-chances)[:3]
    return {
        "name": name,
        "input": base64.b64encode(file.getvalue()).decode(),
        "expected": [[str(digit), round(float(chances[digit]) * 100, 2)] for digit in best],
        "tolerance": 1.0,
    }


def manifest(neurons: int, onnx: bytes, examples: list[dict[str, object]]) -> dict[str, object]:
    """An author's manifest."""
    return {
        "schema": 1,
        "digest": f"sha256:{hashlib.sha256(onnx).hexdigest()}",
        "description": f"A neural network of {neurons} neurons on scikit-learn's digits, bright on dark",
        "input": "X",
        "output": "probabilities",
        "activation": "none",
        "labels": [str(digit) for digit in range(10)],
        "preprocessing": {
            "mode": "L",
            "shorter_side": None,
            "crop": 8,
            "resample": "bilinear",
            "mean": [0.0],
            "std": [255.0],
            "layout": "flat",
        },
        "examples": examples,
    }


if __name__ == "__main__":
    main()
