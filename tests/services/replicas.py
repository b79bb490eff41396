"""Replicas of the real application under gunicorn, each with a pod's name; see tests.stand_ins.replica."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.app.server import ROOT, Server

MODELS = ROOT / "tests" / "app" / "models"
CAPSULE, ANOTHER = "c" * 64, "f" * 64


def start(
    folder: Path, pod: str, *, model: str = "digits", capsule: str = CAPSULE, **behaviour: str
) -> Server:
    """One that is coming up; `behaviour` are the variables of tests.stand_ins.replica."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "POD_NAME": pod,
        "SLIPWAY_CAPSULE": capsule,
        "MODEL_DIR": str(MODELS / model),
        "WEB_CONCURRENCY": "1",
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "counts"),
    }
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-c",
        "python:app.gunicorn_conf",
        "--bind",
        f"127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(
            [*command, "tests.stand_ins.replica:application()"],
            cwd=ROOT,
            env=os.environ | variables | behaviour,
            stdout=output,
            stderr=output,
        )
    return Server(process, port, folder / "log", folder / "counts")
