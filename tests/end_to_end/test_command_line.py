"""`slipway` beside a platform: what it changes in the environments and the store, and what it reads there."""

import json
from typing import Any

import pytest

from tests.cli.conftest import RUN_KEYS, Slipway
from tests.flows.environments import Place
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.released import Released

STAGING = Place("staging")
RELEASE_KEYS = {
    "release",
    "status",
    "reason",
    "commit",
    "model",
    "model_version",
    "image",
    "capsule",
    "code_half",
    "model_half",
    "manifests_commit",
    "by",
    "asked_for",
    "run",
    "started",
    "good_since",
    "ended",
}


@pytest.fixture
def slipway(platform: PlatformUnderTest, released: Released) -> Slipway:
    """In a shell that knows the state folder, and no Prefect server."""
    shell = {name: value for name, value in platform.environment.items() if not name.startswith("PREFECT_")}
    name = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Ada"}
    return Slipway(shell | name)


def values(slipway: Slipway, *command: str) -> dict[str, Any]:
    """The document that the command prints, which succeeds."""
    found = slipway(*command, "--json")
    assert found.status == 0, found.errors
    content: dict[str, Any] = json.loads(found.output)
    assert content.pop("version") == 1
    return content


def releases(slipway: Slipway) -> list[dict[str, Any]]:
    content = values(slipway, "history", "staging")
    assert set(content) == {"environment", "releases"}
    found: list[dict[str, Any]] = content["releases"]
    return found


def test_what_is_live_already_is_skipped_with_exit_status_0(slipway: Slipway) -> None:
    before = releases(slipway)
    found = slipway("release", "staging")
    assert found.status == 0
    assert found.last_line.startswith("Skipped: Nothing to release to staging: ")
    assert releases(slipway) == before


@pytest.mark.slow
def test_a_release_and_its_rollback_by_hand(slipway: Slipway, released: Released) -> None:
    [first, *_] = releases(slipway)
    assert set(first) == RELEASE_KEYS
    assert (first["commit"], first["model_version"]) == (released.commit, "1.0.0")
    found = slipway("release", "staging", "--force", "--reason", "to be sure")
    assert found.status == 0, found.output
    [second, *_] = releases(slipway)
    assert (second["release"], second["by"]) == (first["release"] + 1, "Ada")
    assert "to be sure" in second["asked_for"]
    back = slipway("rollback", "staging", "--to", str(first["release"]), "--reason", "slow", "--by", "Bob")
    assert back.status == 0, back.output
    [third, *_] = releases(slipway)
    assert third["asked_for"] == f"rollback to release {first['release']}: slow"
    why = values(slipway, "why", "staging")
    assert set(why) == {"environment", "known", "live", "hold", "manifests", "sentences", "unknown"}
    assert why["manifests"]["live"]["commit"] == third["manifests_commit"]
    assert (why["environment"], why["known"], why["live"]) == ("staging", True, third)
    assert (why["hold"]["by"], set(why["hold"])) == ("Bob", {"since", "by", "reason"})
    assert slipway("why", "staging").output.split() == " ".join(why["sentences"]).split()
    assert f"{third['release']}  " in slipway("history", "staging").output.splitlines()[1]
    assert slipway("resume", "staging").status == 0
    assert values(slipway, "why", "staging")["hold"] is None


@pytest.mark.slow
def test_a_hold_keeps_an_environment_until_it_is_resumed(slipway: Slipway) -> None:
    assert slipway("hold", "production", "--reason", "freeze").status == 0
    hold = values(slipway, "why", "production")["hold"]
    assert (hold["by"], hold["reason"]) == ("Ada", "freeze")
    assert slipway("resume", "production").last_line == "Completed: production is no longer held."
    assert values(slipway, "why", "production")["hold"] is None


def test_what_is_live_is_verified(slipway: Slipway) -> None:
    found = slipway("verify", "staging")
    assert found.status == 0, found.output
    assert "is good: " in found.last_line


@pytest.mark.slow
def test_a_pin_holds_from_one_run_of_ci_to_the_next(slipway: Slipway) -> None:
    listed = values(slipway, "model", "list")
    assert set(listed) == {"model", "versions", "wanted", "pinned"}
    assert (listed["model"], listed["wanted"], listed["pinned"]) == ("classifier", "1.0.0", None)
    content = values(slipway, "model", "pin", "1.0.0")
    assert (set(content), set(content["run"])) == ({"run", "exit_status"}, RUN_KEYS)
    assert "nothing to build" in content["run"]["message"]
    assert values(slipway, "model", "list")["pinned"] == "1.0.0"
    assert "pinned" in slipway("model", "list").output
    assert slipway("model", "unpin").status == 0
    assert values(slipway, "model", "list")["pinned"] is None


def test_status_is_that_of_the_platform(slipway: Slipway, platform: PlatformUnderTest) -> None:
    content = values(slipway, "status")
    assert content["prefect_url"] == platform.api.ui_url
    assert content["environments"]["production"]["ready"] == 3
    elsewhere = Slipway({**slipway.variables, "PREFECT_API_URL": f"{platform.api.ui_url}/api"})
    assert elsewhere("runs").status == 2  # as it has no password


def test_the_doctor_finds_a_platform_that_released_in_order(slipway: Slipway) -> None:
    found = slipway("doctor", "--json")
    rows = {row["subject"]: row for row in json.loads(found.output)["findings"]}
    assert [row for row in rows.values() if row["state"] == "failed" or not row["checked"]] == []
    assert found.status == 0
    assert rows["staging: account"]["seen"].endswith("system:serviceaccount:staging:slipway-release.")
    assert rows["production: load balancer"]["state"] == "ok"
