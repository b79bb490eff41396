"""Deployments of a server against those of the file."""

from dataclasses import replace
from typing import Any

import pytest

from flows.core.doctor.deployments import Deployment, described, differences, registered

ENTRY = {
    "name": "nightly",
    "entrypoint": "flows.publish_model.publish_model",
    "parameters": {"image": "latest"},
    "schedules": [{"cron": "{{ prefect.variables.at }}", "timezone": "UTC", "slug": "nightly"}],
    "work_pool": {"name": "slipway", "work_queue_name": "release"},
}
FILE = Deployment(
    "publish-model/nightly",
    "flows.publish_model.publish_model",
    "release",
    {"image": "latest"},
    frozenset({("0 2 * * *", "UTC")}),
)
SERVER = {
    "name": "nightly",
    "entrypoint": "flows.publish_model.publish_model",
    "work_queue_name": "release",
    "parameters": {"image": "latest"},
    "schedules": [{"active": False, "schedule": {"cron": "0 2 * * *", "timezone": "UTC", "day_or": True}}],
}


def test_an_entry_of_the_file_has_the_values_of_variables() -> None:
    assert described(ENTRY, {"at": "0 2 * * *"}) == FILE


def test_a_deployment_on_the_server_is_the_same_also_while_its_schedule_is_paused() -> None:
    assert registered(SERVER, "publish-model") == FILE
    assert differences([FILE], {FILE.name: registered(SERVER, "publish-model")}) == []


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"entrypoint": "flows.other.other"}, "entry point"),
        ({"queue": "ci"}, "work queue"),
        ({"parameters": {}}, "parameters"),
        ({"schedules": frozenset({("0 3 * * *", "UTC")})}, "schedule"),
        ({"queue": "ci", "parameters": {}}, "work queue and parameters"),
    ],
)
def test_what_differs_is_named(changed: dict[str, Any], what: str) -> None:
    there = {FILE.name: replace(FILE, **changed)}
    assert differences([FILE], there) == [f"publish-model/nightly has another {what}"]


def test_what_is_missing_is_named_and_what_another_project_has_is_not() -> None:
    other = replace(FILE, name="other/one")
    assert differences([FILE], {other.name: other}) == ["publish-model/nightly is missing"]
