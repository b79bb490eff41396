"""What the list of runs shows, and what becomes of artifacts that the server does not take."""

import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed

from deployments.prefect.api import PrefectApi
from flows.core.errors import PermanentError
from flows.runtime import artifacts
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show
from tests.stand_ins.unreliable_network import UnreliableLine, breaking_line
from tests.support.a_record import good
from tests.support.prefect_client import asking, talking_to

LINES: list[UnreliableLine] = []
"""The line to the server that breaks in the middle of a flow, while there is one."""


@flow(name="a-test", flow_run_name="{environment} ← ?")
@returns_failed_state
def tiny(environment: str, fails: bool = False, release: int = 1, ends_as: str = "") -> State[None]:
    """What every flow does, in a second.

    Args:
        environment: where.
    """
    report = Rows()
    with run_context("a-test", report) as run:
        report["what"] = "nothing"
        if fails:
            raise PermanentError("A disk\nis full.", "Empty it.")
        for line in LINES:
            line.break_off()
        artifacts.publish_history(run, environment, [good(release)])
        show(run, f"{environment} ← 8a1b2c3")
        for line in LINES:
            line.mend()
        show(run, f"{environment} ← 4f2c9e1", f"environment:{environment}", "kept")
        show(run, f"{environment} ← 4f2c9e1", f"environment:{environment}")
    return Completed(name=ends_as or None, message="It went well. All of it.")


@flow(name="a-transfer")
def transferring() -> None:
    """Moves four megabytes in three steps that follow each other at once."""
    with run_context("a-transfer", Rows()) as run:
        tell = run.progress("digits 1.0.0")
        for done in (1, 2, 4):
            tell(done * 10**6, 4 * 10**6)


@pytest.fixture
def api(prefect_server: PrefectApi) -> Iterator[httpx.Client]:
    """The server, to which flows in this process talk as well."""
    with talking_to(prefect_server), asking(prefect_server) as client:
        yield client


def ended(api: httpx.Client, state: State[Any]) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/flow_runs/{state.state_details.flow_run_id}").raise_for_status().json()
    return found


def artifacts_of(api: httpx.Client, run: dict[str, Any]) -> list[dict[str, Any]]:
    query = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    found: list[dict[str, Any]] = api.post("/artifacts/filter", json=query).raise_for_status().json()
    return found


def test_a_run_gets_its_name_and_tags_once_they_are_known(api: httpx.Client) -> None:
    place = f"place-{uuid.uuid4().hex[:8]}"
    run = ended(api, tiny(place, return_state=True))
    assert run["name"] == f"{place} ← 4f2c9e1"
    assert sorted(run["tags"]) == [f"environment:{place}", "kept"]
    assert run["state"]["message"] == "It went well. All of it."
    assert {one["key"] for one in artifacts_of(api, run)} == {f"live-{place}", "a-test"}


def test_a_run_that_fails_says_what_the_error_says_in_one_line(api: httpx.Client) -> None:
    state = tiny("production", fails=True, return_state=True)
    run = ended(api, state)
    assert (run["state_type"], run["name"]) == ("FAILED", "production ← ? — A disk is full")
    assert run["state"]["message"] == "A disk is full. Empty it. See docs/operations.md#permanent-error"
    with pytest.raises(PermanentError, match="A disk"):
        tiny("production", fails=True)


def test_a_run_that_is_not_simply_done_says_why_in_its_name(api: httpx.Client) -> None:
    run = ended(api, tiny("production", ends_as="Skipped", return_state=True))
    assert run["name"] == "production ← 4f2c9e1 — It went well"
    assert run["state_name"] == "Skipped"


def test_a_transfer_shows_its_progress_to_the_end(
    api: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    run = ended(api, transferring(return_state=True))
    (shown,) = [one for one in artifacts_of(api, run) if one["type"] == "progress"]
    assert (shown["description"], shown["data"]) == ("digits 1.0.0", 100)
    progress = [record.message for record in caplog.records if "of 4 MB" in record.message]
    assert progress == ["digits 1.0.0: 1 of 4 MB", "digits 1.0.0: 4 of 4 MB"]


def test_a_history_page_is_the_history_of_one_key_without_repetitions(api: httpx.Client) -> None:
    place = f"place-{uuid.uuid4().hex[:8]}"
    for release in (1, 2, 2):
        tiny(place, release=release)
    query = {"artifacts": {"key": {"any_": [f"live-{place}"]}}}
    versions = api.post("/artifacts/filter", json=query).raise_for_status().json()
    assert len(versions) == 2
    (latest,) = api.post("/artifacts/latest/filter", json=query).raise_for_status().json()
    assert latest["description"] == f"{place} runs aaaaaaa + digits 1.0.0 as release 2"
    assert "[run-2](" in latest["data"]


def test_a_server_that_is_away_fails_no_run_at_the_history_page(
    api: httpx.Client, prefect_server: PrefectApi, caplog: pytest.LogCaptureFixture
) -> None:
    port = urlsplit(prefect_server.ui_url).port
    assert port
    with breaking_line(port) as line:
        LINES.append(line)
        through_it = {PREFECT_API_URL: f"http://127.0.0.1:{line.port}/api", PREFECT_CLIENT_MAX_RETRIES: 0}
        with temporary_settings(through_it):
            state = tiny("production", return_state=True)
        LINES.clear()
    run = ended(api, state)
    assert run["state_type"] == "COMPLETED"
    assert {one["key"] for one in artifacts_of(api, run)} == {"a-test"}
    assert run["name"] == "production ← 4f2c9e1"
    assert "The run's name, 'production ← 8a1b2c3', was not written" in caplog.text
    assert "The artifact live-production was not written, which nothing depends on" in caplog.text
