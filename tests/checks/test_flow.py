"""The doctor as a flow: on the worker's machine, with a table on the run's page."""

import json
from typing import cast

import pytest
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import Artifact as PrefectArtifact

from flows.doctor import doctor
from tests.checks.conftest import Team

pytestmark = [pytest.mark.platform, pytest.mark.apart]  # with a Prefect server of its own


def rows() -> list[dict[str, str]]:
    found = cast(PrefectArtifact, Artifact.get("findings"))
    return list(json.loads(str(found.data)))


def test_a_run_of_the_flow_completes_with_a_table_of_all_rows(team: Team) -> None:
    state = doctor(return_state=True)
    assert (state.type.value, state.message) == ("COMPLETED", "No check failed.")
    assert {row["state"] for row in rows()} == {"ok"}
    assert {"settings", "registry: push", "clock"} <= {row["what"] for row in rows()}


def test_a_run_of_the_flow_fails_with_the_rows_that_failed(team: Team) -> None:
    team.registry.push = 403
    state = doctor(return_state=True)
    assert state.type.value == "FAILED"
    assert "checks failed: registry: push." in str(state.message)
    failed = [row for row in rows() if row["state"] == "failed"]
    assert [row["what"] for row in failed] == ["registry: push"]
    assert "AcrPush" in failed[0]["what to do"]
