"""Opens a model in a process of its own, with limits and without credentials: a model may be anybody's."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import Any

from pydantic import ValidationError

from flows.core.errors import ModelRejected
from flows.core.model.graph import LOOKS, Graph, graphs
from flows.services.models import model_program
from flows.services.process import cancellation
from flows.services.process.temporary import temporary_folder

SECONDS = 120
"""For loading the model and all of its answers. Loading 500 MB takes 2 s."""

MEMORY = 2 << 30
"""Bytes of address space beside the model's own."""

COPIES = 4
"""Of a model: its file, the parsed graph, its weights, and those that ONNX Runtime has rearranged."""

FLOAT = 4
"""Bytes of a number."""

CORRECT = "Correct the model or its manifest, and publish again."

NO_PROTOBUF = re.compile(r"INVALID_PROTOBUF|No graph was found")
"""ONNX Runtime's words for a file that is of another kind, or whose end is missing."""

ANSWER_LIMIT = 1 << 20
"""Bytes that are read of what the program prints."""

QUOTED = 500
"""Characters of the program's last line that a message quotes."""


@dataclass(frozen=True)
class Limits:
    """Seconds, and bytes beside the model's own."""

    seconds: int = SECONDS
    memory: int = MEMORY


USUAL = Limits()


def opened(
    file: Path,
    name: str,
    steps: Mapping[str, Any],
    tensors: tuple[str, str] | None = None,
    limits: Limits = USUAL,
) -> Graph:
    """The model's graph, asked `LOOKS`: `name` is what messages call the file, `steps` its preprocessing.

    `tensors` are the input and output that are asked, by default the first ones. `ModelRejected` where the
    model does not load, or ends the process by its size, its time or a fault.
    """
    channels = len(steps["mode"])
    pictures = 2 * FLOAT * channels * steps["crop"] ** 2
    memory = limits.memory + COPIES * (file.stat().st_size + pictures)
    request = {
        "file": str(file.absolute()),
        "input": tensors and tensors[0],
        "output": tensors and tensors[1],
        "steps": {**steps, "channels": channels},
        "looks": [asdict(look) for look in LOOKS],
        "memory": memory,
        "seconds": limits.seconds,
    }
    graph = _parsed(*_run(request, limits.seconds), name, f"{limits.seconds} s and {memory >> 20} MB")
    if NO_PROTOBUF.search(graph.error):
        raise ModelRejected(
            f"{name} is no ONNX model, or is cut off: {graph.error.rstrip('.')}.",
            "Upload the whole model again.",
        )
    if graph.error:
        raise ModelRejected(f"{name} does not load: {graph.error.rstrip('.')}.", CORRECT)
    return graph


def _run(request: dict[str, Any], seconds: float) -> tuple[bytes, int, str]:
    """What the program printed, its exit status (negative: the signal that ended it), and its last line."""
    with temporary_folder("model") as empty:
        process = subprocess.Popen(
            (sys.executable, "-I", model_program.__file__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=empty,
            env={"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        late = Timer(seconds, cancellation.end, [process])
        with cancellation.current().running(process), closing(process.stdout), closing(process.stderr):
            late.start()
            try:
                with suppress(BrokenPipeError), process.stdin as question:  # it may end before it has read
                    question.write(json.dumps(request).encode())
                answer = process.stdout.read(ANSWER_LIMIT)
                if len(answer) == ANSWER_LIMIT:
                    cancellation.end(process)
                last = process.stderr.read(ANSWER_LIMIT).decode(errors="replace").strip()
            finally:
                late.cancel()
    return answer, process.returncode, (last.splitlines() or [""])[-1][:QUOTED]


def _parsed(answer: bytes, status: int, last: str, name: str, limits: str) -> Graph:
    if status == 0:
        try:
            return graphs.validate_json(answer)
        except ValidationError:
            last = "Its names and shapes are too long"
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    raise ModelRejected(
        f"{name} can't be opened within {limits} of memory: the process that opened it ended with {how}. "
        f"{last}".strip().rstrip(".")
        + ".",
        "Publish a smaller model, or one that ONNX Runtime opens on your machine.",
    )
