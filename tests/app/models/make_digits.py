"""Makes the digits model beside this file: a small neural network on scikit-learn's 8 x 8 pictures of digits.

It is committed, so the tests run without this script. To run it, in an environment of its own:

    pip install scikit-learn skl2onnx pillow && python tests/app/models/make_digits.py
"""

import base64
import hashlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from skl2onnx import to_onnx  # type: ignore[import-not-found] # these are in no lock, see above
from sklearn.datasets import load_digits  # type: ignore[import-not-found]
from sklearn.model_selection import train_test_split  # type: ignore[import-not-found]
from sklearn.neural_network import MLPClassifier  # type: ignore[import-not-found]

HERE = Path(__file__).parent / "digits"
BRIGHTEST = 16  # of the data set's values; 255 in a picture


def main() -> None:
    images, digits = load_digits(return_X_y=True)
    scaled = (images / BRIGHTEST).astype(np.float32)
    train, test, train_digits, test_digits = train_test_split(scaled, digits, random_state=0)
    network = MLPClassifier(hidden_layer_sizes=(24,), max_iter=600, random_state=0).fit(train, train_digits)
    print(f"right on {network.score(test, test_digits):.1%} of the pictures it was not trained on")
    onnx = to_onnx(network, train[:1], options={"zipmap": False}, target_opset=17).SerializeToString()
    chances = network.predict_proba(test)
    surest = [int(np.flatnonzero(test_digits == d)[chances[test_digits == d, d].argmax()]) for d in (3, 8)]
    examples = [example(f"{test_digits[i]}.png", test[i], chances[i]) for i in surest]
    HERE.mkdir(exist_ok=True)
    (HERE / "model.onnx").write_bytes(onnx)
    (HERE / "manifest.json").write_text(json.dumps(manifest(onnx, examples), indent=2) + "\n")


def example(name: str, pixels: np.ndarray, chances: np.ndarray) -> dict[str, object]:
    file = io.BytesIO()
    Image.fromarray((pixels.reshape(8, 8) * 255).round().astype(np.uint8)).save(file, "PNG")
    best = np.argsort(-chances)[:3]
    return {
        "name": name,
        "input": base64.b64encode(file.getvalue()).decode(),
        "expected": [[str(digit), round(float(chances[digit]) * 100, 2)] for digit in best],
        "tolerance": 1.0,
    }


def manifest(onnx: bytes, examples: list[dict[str, object]]) -> dict[str, object]:
    return {
        "schema": 1,
        "name": "digits",
        "version": "1.0.0",
        "digest": f"sha256:{hashlib.sha256(onnx).hexdigest()}",
        "size": len(onnx),
        "created": "2026-11-22T08:00:00Z",
        "description": "A neural network of 24 neurons on scikit-learn's digits, bright on dark",
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
