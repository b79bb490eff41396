"""What is remembered of a Prefect server, and until when."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.core.errors import SettingsError
from flows.services.prefect.api import PAGE, FlowRuns, translated_prefect_errors
from tests.stand_ins.http_server import JsonHandler, QuietHandler, serving

RUN: dict[str, Any] = {
    "id": "a-run",
    "name": "ci",
    "state": None,
    "tags": [],
    "parameters": {},
    "expected_start_time": None,
    "run_count": 0,
}


@contextmanager
def server(registered: list[str]) -> Iterator[FlowRuns]:
    """One whose deployment has the last of these ids."""

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.answer(200, {"id": registered[-1], "tags": []})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            is_known = self.path.split("/")[-2] == registered[-1]
            self.answer(201 if is_known else 404, RUN if is_known else {})

    with (
        serving(Handler) as url,
        temporary_settings({PREFECT_API_URL: f"{url}/api"}),
        FlowRuns() as runs,
    ):
        yield runs


def test_a_deployment_that_was_registered_again_is_found_at_the_next_try() -> None:
    registered = ["first"]
    with server(registered) as runs:
        assert runs.create("ci/commit", "a key", {}, (), "ci")[0].id == "a-run"
        registered.append("second")
        with pytest.raises(SettingsError):
            runs.create("ci/commit", "a key", {}, (), "ci")
        assert runs.create("ci/commit", "a key", {}, (), "ci")[0].id == "a-run"


def test_a_page_in_place_of_an_answer_is_reported_as_one() -> None:
    class Handler(QuietHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "15")
            self.end_headers()
            self.wfile.write(b"<html>Sign in!\n")

    with (
        serving(Handler) as url,
        temporary_settings({PREFECT_API_URL: f"{url}/api"}),
        FlowRuns() as runs,
        pytest.raises(SettingsError, match="answers with a page"),
    ):
        runs.with_key("a key")


def test_a_certificate_that_is_not_trusted_is_no_outage() -> None:
    refused = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    with pytest.raises(SettingsError, match="is not trusted"), translated_prefect_errors():
        raise refused
    with pytest.raises(SettingsError, match="is not trusted"), translated_prefect_errors():
        raise RuntimeError("the first question failed") from refused


def test_more_runs_than_an_answer_holds_are_all_found() -> None:
    there = [{**RUN, "id": f"run-{number}"} for number in range(2 * PAGE + 1)]

    class Handler(JsonHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            begin = asked["offset"]
            self.answer(200, there[begin : begin + asked["limit"]])

    with (
        serving(Handler) as url,
        temporary_settings({PREFECT_API_URL: f"{url}/api"}),
        FlowRuns() as runs,
    ):
        assert [run.id for run in runs.with_tags("ci")] == [run["id"] for run in there]
