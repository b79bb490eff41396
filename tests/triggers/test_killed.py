"""Receiver and watch as processes, killed at any moment: no commit is lost, and none is built twice."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import httpx

from deployments.local.polling import wait_until
from flows.settings import CHECKOUT
from tests.stand_ins.unreliable_network import stalling_line
from tests.triggers.conftest import Team, github_push, signed

PATIENCE = 30


@contextmanager
def receiver(team: Team, **variables: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its address, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "python:flows.triggers.gunicorn_conf"]
    with process(team, [*gunicorn, "--bind", url.removeprefix("http://")], variables) as running:
        wait_until(lambda: answers(url), PATIENCE, "The receiver does not answer")
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
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def deliver(url: str, sha: str, event: str = "push") -> httpx.Response:
    body = github_push(sha)
    return httpx.post(
        f"{url}/hooks/github", content=body, headers=signed(body, event), timeout=PATIENCE, trust_env=False
    )


def deliver_into_the_void(url: str, sha: str) -> None:
    with suppress(httpx.TransportError):
        deliver(url, sha)


def test_killed_before_it_created_the_run_the_watch_creates_it(team: Team) -> None:
    sha = team.commit()
    port = int(team.api.ui_url.rpartition(":")[2])
    with (
        stalling_line(port) as network,
        receiver(team, PREFECT_API_URL=f"http://127.0.0.1:{network.port}/api") as (url, running),
    ):
        assert deliver(url, sha, "ping").status_code == 200
        network.fall_silent()
        before = network.connections
        sender = Thread(target=deliver_into_the_void, args=(url, sha))
        sender.start()
        wait_until(lambda: network.connections > before, PATIENCE, "The receiver does not ask Prefect")
        kill(running)
        sender.join()
    assert team.runs(sha) == []
    team.watch().look()
    team.only_run(sha)


def test_killed_after_it_created_the_run_the_delivery_that_comes_again_finds_it(team: Team) -> None:
    sha = team.commit()
    with receiver(team) as (url, running):
        sender = Thread(target=deliver_into_the_void, args=(url, sha))
        sender.start()
        wait_until(lambda: bool(team.runs(sha)), PATIENCE, "No run is created")
        kill(running)
        sender.join()
    with receiver(team) as (url, _):
        assert deliver(url, sha).json()["run_id"] == team.only_run(sha).id


def test_a_watch_that_is_killed_finds_what_came_meanwhile_once_it_is_back(team: Team) -> None:
    watch = [sys.executable, "-m", "flows.triggers.watch"]
    first = team.git("rev-parse", "HEAD")
    with process(team, watch, {}):
        wait_until(lambda: bool(team.runs(first)), PATIENCE, "The watch starts nothing")
    sha = team.commit()
    team.publish("1.1.0", "colours")
    with process(team, watch, {}):
        wait_until(lambda: bool(team.runs(sha)), PATIENCE, "The watch starts nothing")
    assert f"model:{team.model} 1.1.0" in team.only_run(sha).tags
    assert len(team.runs(first)) == 1


def test_a_watch_ends_at_once_when_it_is_told_to(team: Team) -> None:
    with process(team, [sys.executable, "-m", "flows.triggers.watch"], {}) as running:
        first = team.git("rev-parse", "HEAD")
        wait_until(lambda: bool(team.runs(first)), PATIENCE, "The watch starts nothing")
        running.terminate()
        assert running.wait(10) == 0
