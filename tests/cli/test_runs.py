"""Runs listed, their logs, an end to one, and a person's answer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from flows.config.load import CHECKOUT
from flows.core.trigger.run_labels import branch_tag, environment_tag
from tests.cli.conftest import RUN_KEYS, Prefect, Slipway, ended
from tests.support.rows import rest_slow
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.platform, pytest.mark.apart]

Process = subprocess.Popen[str]


def test_runs_lists_the_newest_and_can_keep_to_an_environment_or_a_branch(
    slipway: Slipway, prefect: Prefect
) -> None:
    there = prefect.create("verify/on-demand", "staging: verify", environment_tag("staging"))
    built = prefect.create("ci/commit", "4f2c9e1 + classifier 1.0.0 on x", branch_tag("feature/x"))
    rows = slipway("runs").output.splitlines()
    assert rows[0].split() == ["RUN", "STARTED", "FLOW", "STATE", "WHAT"]
    for run, flow in ((there, "verify"), (built, "ci")):
        row = next(row for row in rows if row.startswith(run[-12:]))
        assert row.split()[:4] == [run[-12:], "-", flow, "Scheduled"]
    of_staging = slipway("runs", "--env", "staging").output
    assert there[-12:] in of_staging
    assert built[-12:] not in of_staging
    of_branch = slipway("runs", "--branch", "feature/x").output
    assert built[-12:] in of_branch
    assert there[-12:] not in of_branch


def test_times_are_those_of_the_projects_time_zone(slipway: Slipway, prefect: Prefect) -> None:
    run = prefect.create("verify/on-demand", "staging: verify", environment_tag("zone"))
    prefect.put(run, "RUNNING")
    rows = json.loads(slipway("runs", "--limit", "200", "--json").output)["runs"]
    started = datetime.fromisoformat(next(row["started"] for row in rows if row["id"] == run))
    for zone in ("Asia/Kolkata", "America/St_Johns"):
        table = slipway("runs", "--limit", "200", SLIPWAY_TIMEZONE=zone).output.splitlines()
        row = next(row for row in table if row.startswith(run[-12:]))
        assert f"{started.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" in row


def test_runs_as_json(slipway: Slipway, prefect: Prefect) -> None:
    run = prefect.create("verify/on-demand", "staging: verify", environment_tag("json"))
    prefect.end(run, "COMPLETED", "staging: good.")
    content = json.loads(slipway("runs", "--limit", "200", "--json").output)
    assert set(content) == {"version", "runs"}
    found = next(one for one in content["runs"] if one["id"] == run)
    assert set(found) == {*RUN_KEYS, "flow"}
    assert (found["flow"], found["outcome"], found["message"]) == ("verify", "Completed", "staging: good.")


def test_logs_prints_what_the_run_said_and_how_it_ended(slipway: Slipway, prefect: Prefect) -> None:
    run = prefect.create("release/on-demand", "staging: release")
    lines = [f"line {number}" for number in range(250)]
    prefect.log(run, *lines)
    prefect.end(run, "FAILED", "staging: undone.")
    for name in (run, run[-12:], run[:20], f"http://localhost:4200/runs/flow-run/{run}"):
        found = slipway("logs", name)
        assert found.status == 0
        said = [line.split("  ", 1)[-1] for line in found.output.splitlines()]
        assert said == [*lines, "Failed: staging: undone."]


def test_logs_as_json(slipway: Slipway, prefect: Prefect) -> None:
    run = prefect.create("release/on-demand", "staging: release")
    prefect.log(run, "It begins")
    content = json.loads(slipway("logs", run, "--json").output)
    assert set(content) == {"version", "run", "lines"}
    assert set(content["run"]) == RUN_KEYS
    [line] = content["lines"]
    assert set(line) == {"time", "level", "logger", "message"}
    assert (line["message"], line["level"]) == ("It begins", 20)


def test_logs_follows_a_run_to_its_end_and_takes_its_exit_status(slipway: Slipway, prefect: Prefect) -> None:
    run = prefect.create("release/on-demand", "staging: release")
    prefect.put(run, "RUNNING")
    process = slipway.start("logs", run[-12:], "--follow")
    prefect.log(run, "It begins")
    assert process.stdout
    assert "It begins" in process.stdout.readline()
    prefect.end(run, "FAILED", "staging: undone.")
    found = ended(process)
    assert (found.status, found.last_line) == (1, "Failed: staging: undone.")


def test_cancel_ends_a_run(slipway: Slipway, prefect: Prefect) -> None:
    run = prefect.create("release/on-demand", "staging: release")
    prefect.put(run, "RUNNING")
    assert slipway("cancel", run).status == 0
    assert prefect.state_of(run) == "Cancelling"
    other = prefect.create("release/on-demand", "staging: release")
    content = json.loads(slipway("cancel", other, "--json").output)
    assert (set(content), set(content["run"])) == ({"version", "run"}, RUN_KEYS)
    assert content["run"]["outcome"] == prefect.state_of(other) == "Cancelled"


@pytest.fixture
def waiting(slipway: Slipway, prefect: Prefect, tmp_path: Path) -> Iterator[tuple[str, Process]]:
    """The id of a run that waits for approval in a process of its own, and that process, which prints the
    answer."""
    run = prefect.create("release/on-demand", "production: release")
    code = (
        "from uuid import UUID\n"
        "from prefect.client.orchestration import get_client\n"
        "from prefect.flow_engine import run_flow\n"
        "from tests.cli.approval_flow import asks\n"
        "with get_client(sync_client=True) as client:\n"
        f"    found = client.read_flow_run(UUID({run!r}))\n"
        "run_flow(asks, flow_run=found)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={**slipway.variables, "PREFECT_HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: prefect.state_of(run) == "Paused", "It does not ask")
        yield run, process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("command", "answer"),
    rest_slow(
        [
            (("approve", "--comment", "fine"), "approved by Ada: fine"),
            (("refuse", "--reason", "not on a Friday"), "refused by Ada: not on a Friday"),
            (("approve", "--by", "Bob"), "approved by Bob"),
        ],
        1,
    ),
)
def test_a_person_answers_a_run_that_waits_for_approval(
    slipway: Slipway,
    prefect: Prefect,
    waiting: tuple[str, Process],
    command: tuple[str, ...],
    answer: str,
) -> None:
    run, process = waiting
    found = slipway(command[0], run[-12:], *command[1:], "--json")
    assert found.status == 0, found.errors
    content = json.loads(found.output)
    assert set(content) == {"version", "run", "answer", "by"}
    assert f"{content['answer']} by {content['by']}" == answer.partition(":")[0]
    output, _ = process.communicate()
    assert output == f"{answer}\n"
    again = slipway(command[0], run, *command[1:])
    assert again.status == 1
    assert "waits for no approval: it is Completed" in again.errors
