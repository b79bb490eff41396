"""Commands that start a run: what they ask for, how they follow it, and how they end."""

import json
import os
import pty
import signal
import subprocess

import pytest

from tests.cli.conftest import RUN_KEYS, Prefect, Slipway, begun, ended
from tests.stand_ins.unreliable_network import UnreliableLine
from tests.support.rows import rest_slow

pytestmark = [pytest.mark.platform, pytest.mark.apart]

ASKED = [
    (
        "release staging",
        "release/on-demand",
        {"environment": "staging", "image": "latest", "reason": "", "force": False, "by": "Ada"},
    ),
    (
        "release every --image abc --reason urgent --by Bob --force",
        "release/on-demand",
        {"environment": "every", "image": "abc", "reason": "urgent", "force": True, "by": "Bob"},
    ),
    (
        "release production --model 1.0.0 --code 4f2c9e1",
        "release/on-demand",
        {
            "environment": "production",
            "image": "latest",
            "reason": "",
            "force": False,
            "model": "1.0.0",
            "code": "4f2c9e1",
            "by": "Ada",
        },
    ),
    (
        "rollback production",
        "rollback/on-demand",
        {"environment": "production", "release": None, "reason": "no reason given", "by": "Ada"},
    ),
    (
        "rollback production --to 7 --reason slow",
        "rollback/on-demand",
        {"environment": "production", "release": 7, "reason": "slow", "by": "Ada"},
    ),
    (
        "hold staging --reason freeze",
        "hold/on-demand",
        {"environment": "staging", "reason": "freeze", "by": "Ada"},
    ),
    ("resume staging", "resume/on-demand", {"environment": "staging", "reason": "", "by": "Ada"}),
    ("verify", "verify/on-demand", {"environment": "every"}),
    ("verify staging", "verify/on-demand", {"environment": "staging"}),
    ("ci", "ci/commit", {"ref": "HEAD", "model": "wanted", "fresh": False}),
    (
        "ci --ref feature/x --model 1.1.0 --fresh",
        "ci/commit",
        {"ref": "feature/x", "model": "1.1.0", "fresh": True},
    ),
    (
        "ci --against latest --force licence",
        "ci/commit",
        {"ref": "HEAD", "model": "wanted", "fresh": False, "against": "latest", "force": "licence"},
    ),
    (
        "model publish /models/new.onnx 2.0.0",
        "publish-model/on-demand",
        {"file": "/models/new.onnx", "name": "classifier", "version": "2.0.0"},
    ),
    (
        "evaluation publish /labelled/digits --name digits",
        "publish-evaluation/on-demand",
        {"folder": "/labelled/digits", "name": "digits", "version": ""},
    ),
    (
        "evaluation publish /labelled/digits 2",
        "publish-evaluation/on-demand",
        {"folder": "/labelled/digits", "name": "classifier", "version": "2"},
    ),
    ("model pin 1.0.0", "ci/commit", {"ref": "HEAD", "model": "1.0.0"}),
    ("model unpin --ref main", "ci/commit", {"ref": "main", "model": "newest"}),
]


@pytest.mark.parametrize(
    ("command", "deployment", "parameters"), rest_slow(ASKED, 5), ids=[one[0] for one in ASKED]
)
def test_a_command_starts_its_deployment_with_what_was_asked_for(
    slipway: Slipway, prefect: Prefect, command: str, deployment: str, parameters: dict[str, object]
) -> None:
    process, run = begun(slipway, prefect, deployment, *command.split())
    assert run["parameters"] == parameters
    prefect.end(run["id"], "COMPLETED", "All is well.")
    found = ended(process)
    assert (found.status, found.last_line) == (0, "Completed: All is well.")


@pytest.mark.parametrize(
    ("state", "name", "status"),
    [
        ("COMPLETED", "Completed", 0),
        ("COMPLETED", "Skipped", 0),
        ("COMPLETED", "Refused", 1),
        ("COMPLETED", "ApprovalTimedOut", 1),
        ("FAILED", "Failed", 1),
        ("CRASHED", "NotThereYet", 1),
        ("CANCELLED", "Cancelled", 1),
    ],
)
def test_the_exit_status_says_how_the_run_ended(
    slipway: Slipway, prefect: Prefect, state: str, name: str, status: int
) -> None:
    process, run = begun(slipway, prefect, "release/on-demand", "release", "staging")
    prefect.end(run["id"], state, "It is\nas it is.", name)
    found = ended(process)
    assert (found.status, found.last_line) == (status, f"{name}: It is as it is.")


def test_the_log_is_shown_while_the_run_goes_on(slipway: Slipway, prefect: Prefect) -> None:
    process, run = begun(slipway, prefect, "verify/on-demand", "verify", "staging")
    prefect.put(run["id"], "RUNNING")
    prefect.log(run["id"], "Worker talk", logger="prefect.flow_runs.worker")
    prefect.log(run["id"], "staging: 3 of 3 replicas answer")
    assert process.stdout
    assert process.stdout.readline().split("  ")[1] == "staging: 3 of 3 replicas answer\n"
    assert process.poll() is None
    prefect.end(run["id"], "COMPLETED", "staging: good.")
    found = ended(process)
    assert found.output == "Completed: staging: good.\n"
    assert f"/runs/flow-run/{run['id']}" in found.errors


def test_json_is_all_that_standard_output_gets(slipway: Slipway, prefect: Prefect) -> None:
    process, run = begun(slipway, prefect, "release/on-demand", "release", "staging", "--json")
    prefect.log(run["id"], "staging: Release: it is new.")
    prefect.end(run["id"], "FAILED", "staging: undone.")
    found = ended(process)
    assert found.status == 1
    assert "staging: Release: it is new." in found.errors
    content = json.loads(found.output)
    assert set(content) == {"version", "run", "exit_status"}
    assert (content["version"], content["exit_status"]) == (1, 1)
    assert set(content["run"]) == RUN_KEYS
    assert content["run"]["id"] == run["id"]
    assert (content["run"]["state"], content["run"]["outcome"]) == ("FAILED", "Failed")
    assert content["run"]["message"] == "staging: undone."


@pytest.mark.parametrize("command", rest_slow([one[0] for one in ASKED if "--" not in one[0]], 2))
def test_every_command_that_starts_a_run_gives_it_as_json(
    slipway: Slipway, prefect: Prefect, command: str
) -> None:
    deployment = next(one[1] for one in ASKED if one[0] == command)
    process, run = begun(slipway, prefect, deployment, *command.split(), "--json")
    prefect.end(run["id"], "COMPLETED", "Done.")
    content = json.loads(ended(process).output)
    assert (set(content), content["run"]["id"]) == ({"version", "run", "exit_status"}, run["id"])


def test_a_run_that_waits_for_a_person_says_how_to_answer_it(slipway: Slipway, prefect: Prefect) -> None:
    process, run = begun(slipway, prefect, "release/on-demand", "release", "production")
    prefect.put(run["id"], "PAUSED")
    assert process.stderr
    while "waits for approval" not in (line := process.stderr.readline()):
        assert line, "The program ended without a word of it"
    assert f"slipway approve {run['id'][-12:]}" in line
    prefect.end(run["id"], "COMPLETED", "Not released to production: refused by Ada.", "Refused")
    assert ended(process).status == 1


def test_ctrl_c_without_a_terminal_leaves_the_run_and_says_how_to_cancel_it(
    slipway: Slipway, prefect: Prefect
) -> None:
    process, run = begun(slipway, prefect, "release/on-demand", "release", "staging")
    prefect.put(run["id"], "RUNNING")
    follows(process, prefect, run["id"])
    process.send_signal(signal.SIGINT)
    found = ended(process)
    assert found.status == 130
    assert f"slipway cancel {run['id'][-12:]}" in found.errors
    assert prefect.state_of(run["id"]) == "Running"


@pytest.mark.parametrize(("answer", "state"), [("y", "Cancelling"), ("n", "Running"), ("", "Running")])
def test_ctrl_c_at_a_terminal_asks_whether_to_cancel_the_run(
    slipway: Slipway, prefect: Prefect, answer: str, state: str
) -> None:
    terminal, its_end = pty.openpty()
    process, run = begun(slipway, prefect, "release/on-demand", "release", "staging", stdin=its_end)
    prefect.put(run["id"], "RUNNING")
    follows(process, prefect, run["id"])
    process.send_signal(signal.SIGINT)
    os.write(terminal, f"{answer}\n".encode())
    found = ended(process)
    os.close(terminal)
    os.close(its_end)
    assert found.status == 130
    assert "Cancel the run? [y/N]" in found.output
    assert prefect.state_of(run["id"]) == state


def test_a_server_that_is_away_for_a_while_ends_nothing(slipway: Slipway, prefect: Prefect) -> None:
    line = UnreliableLine(prefect.port)
    shell = Slipway({**slipway.variables, "PREFECT_API_URL": f"http://127.0.0.1:{line.port}/api"})
    process, run = begun(shell, prefect, "verify/on-demand", "verify", "staging")
    follows(process, prefect, run["id"])
    line.break_off()
    assert process.stderr
    while "The run goes on; asking again" not in (said := process.stderr.readline()):
        assert said, "The program ended without a word of it"
    prefect.end(run["id"], "COMPLETED", "staging: good.")
    line.mend()
    found = ended(process)
    line.close()
    assert (found.status, found.last_line) == (0, "Completed: staging: good.")


def follows(process: subprocess.Popen[str], prefect: Prefect, run: str) -> None:
    """Return once the program shows the run's log."""
    prefect.log(run, "It has begun")
    assert process.stdout
    assert "It has begun" in process.stdout.readline()
