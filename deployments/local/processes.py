"""The processes of a platform, found by a mark in their environment.

What a dead run or another checkout left under the same name is found this way too.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence

import psutil

MARK = "SLIPWAY_INSTANCE"
"""Variable in the environment of every supervised process, and of what it starts in turn."""

STOP_TIMEOUT = 15
"""Seconds between SIGTERM and SIGKILL."""


def belonging_to(name: str) -> list[psutil.Process]:
    """Every process that carries this instance's name, but for the one that asks and its parents."""
    return [process for process, variables in marked() if variables[MARK] == name]


def marked() -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """The processes of any platform with their environment, likewise."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        variables = _environment(process)
        if MARK in variables and process.pid not in mine:
            yield process, variables


def terminate(processes: Sequence[psutil.Process]) -> None:
    """Ask them to end, wait, and kill those that don't."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _gone, left = psutil.wait_procs(processes, timeout=STOP_TIMEOUT)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=STOP_TIMEOUT)


def command_of(process: psutil.Process) -> list[str]:
    """Its program and arguments; empty if it is gone or another user's."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def listening_ports(pid: int) -> set[int]:
    """The TCP ports that the process listens on; none if it is gone."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return set()
    return {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return {}
