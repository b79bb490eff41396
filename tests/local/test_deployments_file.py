"""`prefect deploy --all` ignores unknown keys, and one mistake discards the whole file: it is linted here."""

from importlib import import_module
from typing import Any
from zoneinfo import available_timezones

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from pydantic import ValidationError

from deployments.prefect.api import POOL
from deployments.prefect.work_pool import QUEUES
from flows.config.load import CHECKOUT, load
from flows.config.schema import Runs
from flows.core.trigger.crash import HEARTBEAT

FILE = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = FILE["deployments"]
KNOWN_TO_PREFECT = {
    "name",
    "version",
    "tags",
    "description",
    "schedules",
    "concurrency_limit",
    "entrypoint",
    "parameters",
    "work_pool",
    "enforce_parameter_schema",
    "triggers",
}
every_deployment = pytest.mark.parametrize(
    "deployment", DEPLOYMENTS, ids=[f"{d['entrypoint']}-{d['name']}" for d in DEPLOYMENTS]
)


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    module, _, name = deployment["entrypoint"].rpartition(".")
    found = getattr(import_module(module), name)
    assert isinstance(found, Flow)
    return found


def test_the_file_has_only_keys_that_prefect_knows() -> None:
    assert set(FILE) <= {"name", "pull", "definitions", "deployments"}
    assert FILE["pull"] == []


@every_deployment
def test_a_deployment_has_only_keys_that_prefect_knows(deployment: dict[str, Any]) -> None:
    assert set(deployment) <= KNOWN_TO_PREFECT


@every_deployment
def test_its_flow_takes_its_parameters(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)


@every_deployment
def test_its_queue_exists(deployment: dict[str, Any]) -> None:
    assert deployment["work_pool"]["name"] == POOL
    assert deployment["work_pool"]["work_queue_name"] in QUEUES


@every_deployment
def test_its_description_says_what_it_does(deployment: dict[str, Any]) -> None:
    assert deployment["description"].strip()
    properties = flow_of(deployment).parameters.properties
    assert all(schema.get("description") for schema in properties.values())


@every_deployment
def test_it_chooses_nothing_of_what_a_worker_executes(deployment: dict[str, Any]) -> None:
    """The work pool's template holds it as constants: tests/local/test_work_pool.py."""
    assert set(deployment["work_pool"]) == {"name", "work_queue_name"}


@pytest.mark.parametrize("seconds", [10, 2 * HEARTBEAT, 101])
def test_a_run_is_lost_neither_between_two_signs_of_life_nor_after_two_minutes(seconds: int) -> None:
    with pytest.raises(ValidationError):
        Runs(lost_after=seconds)
    assert Runs(lost_after=2 * HEARTBEAT + 1).lost_after < Runs().lost_after == load().runs.lost_after


def test_the_top_of_flows_holds_the_entry_points_and_nothing_else() -> None:
    modules = {f"flows.{path.stem}" for path in (CHECKOUT / "flows").glob("*.py")} - {"flows.__init__"}
    assert modules == {deployment["entrypoint"].rpartition(".")[0] for deployment in DEPLOYMENTS}


def test_no_two_deployments_of_a_flow_share_a_name() -> None:
    names = [(flow_of(d).name, d["name"]) for d in DEPLOYMENTS]
    assert len(names) == len(set(names))


def test_the_nightly_schedule_comes_from_the_settings() -> None:
    schedules = {d["name"]: d["schedules"] for d in DEPLOYMENTS if "schedules" in d}
    assert [(s["cron"], s["timezone"]) for s in schedules["nightly"]] == [
        ("{{ prefect.variables.slipway_nightly }}", "{{ prefect.variables.slipway_timezone }}")
    ]
    assert [(s["cron"], s["timezone"]) for s in schedules["by-morning"]] == [
        ("{{ prefect.variables.slipway_nightly_by }}", "{{ prefect.variables.slipway_timezone }}")
    ]


def test_the_settings_hold_a_schedule_that_prefect_takes() -> None:
    settings = load()
    assert CronSchedule(cron=settings.schedule.nightly, timezone=settings.timezone).cron == "0 2 * * *"
    assert CronSchedule(cron=settings.schedule.nightly_by, timezone=settings.timezone).cron == "0 4 * * *"
    assert settings.timezone in available_timezones()
