"""Receivers and watches as processes of their own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

from flows.config.load import CHECKOUT
from flows.services.process.tls import NO_TLS
from tests.support.waiting import wait_until
from tests.triggers.conftest import Team, github_push, signed

PATIENCE = 30


@contextmanager
def receiver(team: Team, **variables: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its address, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:flows.triggers.gunicorn_conf"]
    with process(team, [*gunicorn, "--bind", url.removeprefix("http://")], variables) as running:
        wait_until(lambda: answers(url), "The receiver does not answer")
        yield url, running


@contextmanager
def process(team: Team, command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(
        command, cwd=CHECKOUT, env={**team.environment, **variables}, start_new_session=True
    )
    try:
        yield running
    finally:
        kill(running)


def kill(running: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False, verify=NO_TLS).is_success
    except httpx.TransportError:
        return False


def deliver(url: str, sha: str, event: str = "push") -> httpx.Response:
    body = github_push(sha)
    return httpx.post(
        f"{url}/hooks/github",
        content=body,
        headers=signed(body, event),
        timeout=PATIENCE,
        trust_env=False,
        verify=NO_TLS,
    )


def deliver_into_the_void(url: str, sha: str) -> None:
    with suppress(httpx.TransportError):
        deliver(url, sha)
