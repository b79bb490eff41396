"""Replicas of the real application under gunicorn, each with a pod's name; see tests.stand_ins.replica."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.app.server import ROOT, Server, free_ports

MODELS = ROOT / "tests" / "app" / "models"
CAPSULE, ANOTHER = "c" * 64, "f" * 64


@contextmanager
def started(folder: Path, behaviours: Mapping[str, Mapping[str, str]]) -> Iterator[Mapping[str, Server]]:
    """Ready replicas by their pod's name, each with its behaviour as of `start`, until the block ends."""
    servers = {pod: start(folder / pod, pod, **behaviour) for pod, behaviour in behaviours.items()}
    for server in servers.values():
        server.wait_until(server.is_ready)
    yield servers
    for server in servers.values():
        server.process.kill()
        server.process.wait()


def start(
    folder: Path, pod: str, *, model: str = "digits", capsule: str = CAPSULE, **behaviour: str
) -> Server:
    """One that is coming up; `behaviour` are the variables of tests.stand_ins.replica."""
    folder.mkdir()
    port, probe_port = free_ports(2)
    variables = {
        "POD_NAME": pod,
        "SLIPWAY_CAPSULE": capsule,
        "MODEL_DIR": str(MODELS / model),
        "WEB_CONCURRENCY": "1",
        "PROBE_PORT": str(probe_port),
        "TURNS_DIR": str(folder / "turns"),
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
    return Server(process, port, folder / "log", folder / "counts", probe_port)
