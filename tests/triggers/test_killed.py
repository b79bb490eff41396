"""Receiver and watch as processes, killed at any moment: no commit is lost, and none is built twice."""

import sys
from threading import Thread

from tests.stand_ins.unreliable_network import stalling_line
from tests.support.waiting import wait_until
from tests.triggers.conftest import Team
from tests.triggers.processes import deliver, deliver_into_the_void, kill, process, receiver


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
        wait_until(lambda: network.connections > before, "The receiver does not ask Prefect")
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
        wait_until(lambda: bool(team.runs(sha)), "No run is created")
        kill(running)
        sender.join()
    with receiver(team) as (url, _):
        assert deliver(url, sha).json()["run_id"] == team.only_run(sha).id


def test_a_watch_that_is_killed_finds_what_came_meanwhile_once_it_is_back(team: Team) -> None:
    watch = [sys.executable, "-m", "flows.triggers.poller"]
    first = team.git("rev-parse", "HEAD")
    with process(team, watch, {}):
        wait_until(lambda: bool(team.runs(first)), "The poller starts nothing")
    sha = team.commit()
    team.publish("1.1.0", "colours")
    with process(team, watch, {}):
        wait_until(lambda: bool(team.runs(sha)), "The poller starts nothing")
    assert f"model:{team.model} 1.1.0" in team.only_run(sha).tags
    assert len(team.runs(first)) == 1


def test_a_watch_ends_at_once_when_it_is_asked_to(team: Team) -> None:
    with process(team, [sys.executable, "-m", "flows.triggers.poller"], {}) as running:
        first = team.git("rev-parse", "HEAD")
        wait_until(lambda: bool(team.runs(first)), "The poller starts nothing")
        running.terminate()
        assert running.wait(10) == 0
