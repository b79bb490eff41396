"""What goes wrong is one line that says what to do, and an exit status; no traceback."""

import pytest

from tests.cli.conftest import Ended, Prefect, Slipway
from tests.support.rows import rest_slow

pytestmark = [pytest.mark.platform, pytest.mark.apart]

NO_SERVER = "http://127.0.0.1:1/api"
STARTING = ("release staging", "rollback staging", "hold staging", "resume staging", "verify", "ci")
ASKING = ("runs", "logs abcdef", "cancel abcdef", "approve abcdef", "refuse abcdef --reason no")


def is_one_line(found: Ended) -> bool:
    return found.output == "" and found.errors.startswith("Error: ") and found.errors.count("\n") == 1


@pytest.mark.parametrize("command", rest_slow(["release staging", "runs", *STARTING[1:], *ASKING[1:]], 2))
def test_a_server_that_is_away(slipway: Slipway, command: str) -> None:
    found = slipway(*command.split(), PREFECT_API_URL=NO_SERVER)
    assert (found.status, is_one_line(found)) == (1, True), found
    assert "does not answer" in found.errors
    assert "PREFECT_API_URL" in found.errors


@pytest.mark.parametrize("command", ["runs", "release staging"])
def test_a_wrong_password(slipway: Slipway, command: str) -> None:
    found = slipway(*command.split(), PREFECT_API_AUTH_STRING="slipway:wrong")
    assert (found.status, is_one_line(found)) == (2, True), found
    assert "Set PREFECT_API_AUTH_STRING" in found.errors


@pytest.mark.parametrize(
    "command",
    rest_slow(
        [
            "release nowhere",
            "why nowhere",
            "rollback nowhere",
            "hold nowhere",
            "resume nowhere",
            "verify nowhere",
            "history nowhere",
            "runs --env nowhere",
        ],
        2,
    ),
)
def test_an_unknown_environment(slipway: Slipway, prefect: Prefect, command: str) -> None:
    before = len(prefect.runs("release/on-demand"))
    found = slipway(*command.split())
    assert (found.status, is_one_line(found)) == (2, True), found
    assert "It names: staging, production." in found.errors
    assert len(prefect.runs("release/on-demand")) == before


@pytest.mark.parametrize(
    "command", rest_slow(["logs {}", "cancel {}", "approve {}", "refuse {} --reason no"], 1)
)
def test_a_run_that_there_is_not(slipway: Slipway, command: str) -> None:
    for name in ("no-such-run", "00000000-0000-4000-8000-000000000000"):
        found = slipway(*command.format(name).split())
        assert (found.status, is_one_line(found)) == (2, True), found
        assert "slipway runs" in found.errors


def test_the_beginning_of_several_runs_names_none_of_them(slipway: Slipway, prefect: Prefect) -> None:
    runs = [prefect.create("verify/on-demand", "verify") for _ in range(17)]  # so that two begin alike
    alike = next(run[0] for run in runs if sum(other[0] == run[0] for other in runs) > 1)
    found = slipway("logs", alike)
    assert (found.status, is_one_line(found)) == (2, True), found
    assert "Give more of its id." in found.errors


@pytest.mark.parametrize("command", rest_slow(["approve {}", "cancel {}", "refuse {} --reason no"], 1))
def test_a_run_that_is_over(slipway: Slipway, prefect: Prefect, command: str) -> None:
    run = prefect.create("release/on-demand", "staging: release")
    prefect.end(run, "COMPLETED", "Done.")
    found = slipway(*command.format(run).split())
    assert (found.status, is_one_line(found)) == (1, True), found
    assert "Completed" in found.errors
    assert prefect.state_of(run) == "Completed"


def test_no_server_at_all(slipway: Slipway) -> None:
    found = slipway("runs", PREFECT_API_URL="")
    assert (found.status, is_one_line(found)) == (2, True), found
    assert "Run `slipway up`" in found.errors


def test_a_platform_is_found_by_its_state_folder(slipway_of_a_platform: Slipway, prefect: Prefect) -> None:
    run = prefect.create("verify/on-demand", "verify")
    assert run[-12:] in slipway_of_a_platform("runs").output


def test_a_server_without_our_deployments(slipway: Slipway, prefect: Prefect) -> None:
    found = prefect.http.get("/deployments/name/hold/on-demand").json()
    prefect.http.delete(f"/deployments/{found['id']}").raise_for_status()
    try:
        refused = slipway("hold", "staging")
    finally:
        prefect.deploy("hold/on-demand")
    assert (refused.status, is_one_line(refused)) == (2, True), refused
    assert "Register the deployments" in refused.errors


def test_a_decision_needs_a_name(slipway: Slipway, prefect: Prefect) -> None:
    run = prefect.create("release/on-demand", "staging: release")
    found = slipway("approve", run, GIT_CONFIG_VALUE_0="")
    assert (found.status, is_one_line(found)) == (2, True), found
    assert "Add --by NAME" in found.errors


@pytest.mark.parametrize(
    "command",
    rest_slow(
        ["release staging --imag x", "start", "release", "rollback staging --to x", "refuse x", "ci --push"],
        2,
    ),
)
def test_what_cannot_be_understood(slipway: Slipway, command: str) -> None:
    found = slipway(*command.split())
    assert (found.status, is_one_line(found)) == (2, True), found
    assert "--help" in found.errors


def test_wrong_settings(slipway: Slipway) -> None:
    found = slipway("release", "staging", SLIPWAY_TIMEZONE="Mars/Olympus")
    assert (found.status, is_one_line(found)) == (2, True), found
    assert "timezone" in found.errors
