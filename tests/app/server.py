"""The application as it is served, for the tests that are about the server."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 40
"""Seconds for anything to happen."""


def free_ports(number: int) -> list[int]:
    """Ports that no process listens at."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


@dataclass
class Server:
    """A gunicorn of its own, with two workers; `serves` is another application than the real one."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    counts: Path
    probe_port: int = 0

    @classmethod
    def start(cls, folder: Path, model: Path, serves: str = "", **environment: str) -> "Server":
        port, probe_port = free_ports(2)
        log, turns = folder / "log", folder / "turns"
        variables = {
            "MODEL_DIR": str(model),
            "PROBE_PORT": str(probe_port),
            "TURNS_DIR": str(turns),
        } | environment
        address = f"127.0.0.1:{port}"
        command = [sys.executable, "-m", "gunicorn", "-c", "python:app.gunicorn_conf", "--bind", address]
        command += [serves] if serves else []
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(process, port, log, turns / "metrics", probe_port)

    def kill(self) -> None:
        """Ends it with its workers, also those that hang and would outlive it."""
        with suppress(ProcessLookupError):  # all of them have ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def connect(self, port: int = 0) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE)

    def probe(self, path: str) -> tuple[int, str]:
        """Status and text of an answer at the port of the probes, if it has one."""
        connection = self.connect(self.probe_port)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer, on a connection of its own; a header's `_` stands for `-`."""
        connection = self.connect()
        try:
            connection.request(
                method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def counted(self, metric: str) -> float:
        """What /metrics says of a metric, named with its labels; 0 for one that was never counted."""
        lines = self.probe("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == metric)

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def output(self) -> str:
        return self.log.read_text()

    def is_ready(self) -> bool:
        try:
            return self.probe("/readyz")[0] == 200
        except ConnectionError:
            return False

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, self.output()
            assert self.process.poll() is None, self.output()
            time.sleep(0.02)

    def tell_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.wait_until(lambda: "Handling signal: term" in self.output())

    def exit_status(self) -> int:
        return self.process.wait(PATIENCE)
