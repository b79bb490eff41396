"""`python -m deployments.local.demo.sample_model VERSION FOLDER`."""

import argparse
from pathlib import Path

from deployments.local.demo.sample_model import VERSIONS, make

parser = argparse.ArgumentParser(
    prog="deployments.local.demo.sample_model", description="Make the sample model."
)
parser.add_argument("version", choices=VERSIONS, help="1.0.0 is float32, 1.1.0 int8")
parser.add_argument("folder", type=Path, help="gets VERSION/model.onnx and VERSION/manifest.json")
arguments = parser.parse_args()
print(make(arguments.version, arguments.folder, print))
