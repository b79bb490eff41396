import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest
import tomli_w
from pydantic import TypeAdapter

from deployments.local import supervision
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import deployments as registration
from deployments.local.prefect import server as embedded
from deployments.prefect.api import PrefectApi
from flows.config.load import CHECKOUT
from flows.config.schema import Embedded
from flows.credentials import environment
from tests.local.test_deployments_file import DEPLOYMENTS, flow_of
from tests.support.prefect_client import asking
from tests.support.preparing import BringUpParts
from tests.support.waiting import wait_until

pytestmark = pytest.mark.exclusive


@pytest.fixture(scope="module")
def deployments(prefect_server: PrefectApi, instance: Instance, settings: WrittenSettings) -> dict[str, str]:
    registration.ensure(instance, settings, prefect_server, print)
    return prefect_server.deployment_ids()


@pytest.mark.parametrize(("name", "hour"), [("release/nightly", 2), ("nightly-check/by-morning", 4)])
def test_every_night_gets_its_run_scheduled_and_its_check(
    prefect_server: PrefectApi,
    deployments: dict[str, str],
    settings: WrittenSettings,
    name: str,
    hour: int,
) -> None:
    nightly = deployments[name]
    wait_until(lambda: len(prefect_server.scheduled_times(nightly)) >= 3, "Nothing was scheduled")
    due = [t.astimezone(ZoneInfo(settings.timezone)) for t in prefect_server.scheduled_times(nightly)]
    assert {(time.hour, time.minute) for time in due} == {(hour, 0)}
    assert len({time.date() for time in due}) == len(due)


def test_the_server_deletes_old_events_and_what_deleted_runs_leave(prefect_server: PrefectApi) -> None:
    with asking(prefect_server) as http:
        settings = http.get("/admin/settings").raise_for_status().json()["server"]
    assert set(settings["services"]["db_vacuum"]["enabled"]) == {"events", "orphans"}
    assert TypeAdapter(timedelta).validate_python(settings["events"]["retention_period"]) == timedelta(days=7)


def test_every_deployment_of_the_file_is_registered(deployments: dict[str, str]) -> None:
    assert {f"{flow_of(wanted).name}/{wanted['name']}" for wanted in DEPLOYMENTS} <= set(deployments)


def test_registering_again_does_nothing_until_something_changes(
    prefect_server: PrefectApi, deployments: dict[str, str], instance: Instance, settings: WrittenSettings
) -> None:
    assert not registration.ensure(instance, settings, prefect_server, print)
    (instance.state / "registered.json").unlink()
    assert registration.ensure(instance, settings, prefect_server, print)
    assert prefect_server.deployment_ids() == deployments


def test_queues_limit_what_runs_at_once(prefect_server: PrefectApi) -> None:
    assert prefect_server.queue_limits() == {"ci": 2, "release": 4, "checks": 2}


def test_the_command_line_talks_to_the_server_without_any_export(
    prefect_server: PrefectApi, deployments: dict[str, str], instance: Instance, tmp_path: Path
) -> None:
    (tmp_path / "prefect.toml").write_text(tomli_w.dumps(embedded.client_settings(instance)))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    listed = subprocess.run(
        [sys.executable, "-m", "prefect", "deployment", "ls"],
        cwd=tmp_path,
        env=inherited | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(name in listed.stdout for name in deployments)
    assert not (tmp_path / ".prefect").exists()


def test_a_server_that_dies_is_started_again(prefect_server: PrefectApi, instance: Instance) -> None:
    before = {state.name: state.pid for state in supervision.states(instance)}
    psutil.Process(before[embedded.SERVER]).kill()
    port = instance.ports.prefect_port
    wait_until(lambda: not prefect_server.is_healthy(), "The server survived")
    wait_until(
        lambda: supervision.listens(instance, embedded.SERVER, port) and prefect_server.is_healthy(),
        "The server did not come back",
    )


def test_with_everything_dead_bringing_up_repairs_it(
    prefect_server: PrefectApi, instance: Instance, bring_up: BringUpParts
) -> None:
    supervision.end(instance)
    assert not prefect_server.is_healthy()
    assert bring_up(BringUp.server).result().is_healthy()
    assert {s.name: s.state for s in supervision.states(instance)}[embedded.WORKER] in {"STARTING", "RUNNING"}


def test_runs_whose_worker_is_gone_do_not_hold_their_place(
    prefect_server: PrefectApi, deployments: dict[str, str]
) -> None:
    under_way, cancelled, asking, suspended = (
        prefect_server.start("ci/commit", {"ref": "no-such-ref"}) for _ in range(4)
    )
    prefect_server.set_state(under_way, "RUNNING", "as if a worker had it")
    prefect_server.set_state(cancelled, "CANCELLING", "a person has cancelled it")
    prefect_server.set_state(asking, "PAUSED", "it waits for an approval, in its process", "Paused")
    prefect_server.set_state(suspended, "PAUSED", "it has no process to lose", "Suspended")
    embedded.give_up_orphans(prefect_server, embedded.STOPPED)
    ended = [prefect_server.flow_run(run.id) for run in (under_way, cancelled, asking, suspended)]
    assert [(run.state, run.state_name) for run in ended] == [
        ("CRASHED", embedded.STOPPED),
        ("CANCELLED", "Cancelled"),
        ("CRASHED", embedded.STOPPED),
        ("PAUSED", "Suspended"),
    ]


def test_no_telemetry_leaves_the_machine(instance: Instance) -> None:
    given = embedded.flow_environment(instance)
    assert given["DO_NOT_TRACK"] == "1"
    assert given["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_variables_of_another_server_do_not_leak_into_flows(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "for another server")
    assert "PREFECT_API_KEY" not in embedded.flow_environment(instance)
    assert str(CHECKOUT) not in embedded.flow_environment(instance)["PREFECT_API_URL"]


def test_a_shell_with_credentials_for_runs_by_hand_has_the_same_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor replaces all that runs, runs included, where a variable differs."""
    nothing_yet = Instance("shell", tmp_path, tmp_path / "state", Embedded())
    before = embedded.flow_environment(nothing_yet)
    for name in environment.NAMES:
        monkeypatch.setenv(name, "secret")
    assert embedded.flow_environment(nothing_yet) == before
