"""The served application: classifies pictures with whatever model directory it is given."""

import os

# ONNX Runtime reports models and use to its maker unless this is set before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
