"""`slipway doctor` as people and programs run it."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Slipway
from tests.support.commits import commit_all

pytestmark = [pytest.mark.platform, pytest.mark.apart]

AWAY = "http://127.0.0.1:1/api"


def test_rows_are_a_table_with_what_to_do_below_and_the_status_of_the_worst(slipway: Slipway) -> None:
    done = slipway("doctor")
    assert done.status == 1
    lines = done.output.splitlines()
    assert lines[0].split() == ["STATE", "WHAT", "SEEN"]
    assert any(line.startswith("failed   Prefect: work pool ") for line in lines)
    assert any(line.startswith("Prefect: work pool (failed): Run `python -m deployments") for line in lines)
    assert "checks failed: Prefect: work pool; " in lines[-1]


def test_rows_for_programs_also_while_all_systems_are_away(slipway: Slipway, tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    commit_all(tmp_path, "The application")
    done = slipway("doctor", "--json", PREFECT_API_URL=AWAY, SLIPWAY_SOURCE__REPOSITORY=str(tmp_path))
    found = json.loads(done.output)
    assert (done.status, found["version"], found["state"]) == (1, 1, "failed")
    keys = {"subject", "state", "seen", "tried", "remedy", "checked"}
    assert all(row.keys() == keys for row in found["findings"])
    rows = {row["subject"]: row for row in found["findings"]}
    assert rows["Prefect: server"]["state"] == "failed"
    assert rows["repository"]["state"] == "ok"
    assert all(row["remedy"] for row in rows.values() if row["state"] != "ok")


def test_settings_that_are_wrong_are_a_row(slipway: Slipway) -> None:
    done = slipway("doctor", "--json", SLIPWAY_REGISTRY__PORT="5001")
    (settings, rest) = json.loads(done.output)["findings"]
    assert (done.status, settings["subject"], settings["state"]) == (1, "settings", "failed")
    assert "registry.port" in settings["seen"]
    assert rest["seen"] == "Not checked, because settings are not in order."
