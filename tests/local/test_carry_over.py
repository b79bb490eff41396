"""An older platform's blocks, variables and switches come from a real server on SQLite."""

import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from deployments.local.instance import Instance
from deployments.local.prefect import carry_over
from deployments.local.prefect.carry_over import OldPlatform
from deployments.prefect.api import PrefectApi
from flows.config.load import CHECKOUT
from tests.support.prefect_client import asking

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Before:
    """A platform on SQLite: `name` begins the names of all that people made on it."""

    instance: Instance
    name: str


FILL = """
import sys
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.system import Secret
from prefect_azure import AzureBlobStorageContainer, AzureBlobStorageCredentials
name = sys.argv[1]
Secret(value="a token").save(f"{name}-secret")
login = AzureBlobStorageCredentials(connection_string="UseDevelopmentStorage=true")
login.save(f"{name}-login")
AzureBlobStorageContainer(container_name="c", credentials=login).save(f"{name}-container")
"""


@pytest.fixture(scope="module")
def before(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Before:
    state = tmp_path_factory.mktemp("before")
    old = replace(instance, state=state)
    name = f"old-{uuid.uuid4().hex[:8]}"
    (state / "prefect").mkdir()
    with carry_over.old_server(old) as http:
        environment = carry_over.old_environment(old, str(http.base_url))
        subprocess.run([sys.executable, "-c", FILL, name], cwd=CHECKOUT, env=environment, check=True)
        post(http, "/variables/", {"name": name.replace("-", "_"), "value": {"by": "hand"}, "tags": ["t"]})
        on_server(http, name, active=False, enabled=False)
        flow = post(http, "/flows/", {"name": name})
        post(http, "/flow_runs/", {"flow_id": flow["id"], "state": {"type": "COMPLETED"}})
        post(http, "/artifacts/", {"key": name, "type": "markdown", "data": "seen"})
    return Before(old, name)


def on_server(http: httpx.Client, name: str, *, active: bool, enabled: bool) -> None:
    """A deployment with one schedule, and an automation."""
    flow = post(http, "/flows/", {"name": name})
    schedule = {"schedule": {"cron": "0 2 * * *", "timezone": "UTC"}, "active": active}
    deployment = {"name": "nightly", "flow_id": flow["id"], "schedules": [schedule], "paused": not active}
    post(http, "/deployments/", deployment)
    trigger = {"type": "event", "posture": "Reactive", "expect": ["nothing"], "threshold": 1}
    automation = {"name": name, "enabled": enabled, "trigger": trigger, "actions": [{"type": "do-nothing"}]}
    post(http, "/automations/", automation)


def post(http: httpx.Client, path: str, body: object) -> dict[str, str]:
    answer: dict[str, str] = http.post(path, json=body).raise_for_status().json()
    return answer


@pytest.fixture(scope="module")
def old(before: Before) -> OldPlatform:
    return carry_over.read(before.instance, print)


def test_blocks_and_variables_are_carried_over(
    before: Before, old: OldPlatform, prefect_server: PrefectApi
) -> None:
    carry_over.put_values(old, prefect_server, print)
    assert prefect_server.block("secret", f"{before.name}-secret") == {"value": "a token"}
    container = prefect_server.block("azure-blob-storage-container", f"{before.name}-container")
    assert container is not None
    assert container["container_name"] == "c"
    assert container["credentials"]["connection_string"] == "UseDevelopmentStorage=true"
    with asking(prefect_server) as http:
        found = http.get(f"/variables/name/{before.name.replace('-', '_')}").raise_for_status().json()
    assert (found["value"], found["tags"]) == ({"by": "hand"}, ["t"])


def test_a_second_time_changes_nothing_that_a_user_changed_meanwhile(
    before: Before, old: OldPlatform, prefect_server: PrefectApi
) -> None:
    carry_over.put_values(old, prefect_server, print)
    prefect_server.ensure_variable(before.name.replace("-", "_"), "changed")
    carry_over.put_values(old, prefect_server, print)
    with asking(prefect_server) as http:
        found = http.get(f"/variables/name/{before.name.replace('-', '_')}").raise_for_status().json()
    assert found["value"] == "changed"


def test_switches_of_schedules_and_automations_are_carried_over(
    before: Before, old: OldPlatform, prefect_server: PrefectApi
) -> None:
    with asking(prefect_server) as http:
        on_server(http, before.name, active=True, enabled=True)
        carry_over.put_switches(old, prefect_server, print)
        deployment = http.get(f"/deployments/name/{before.name}/nightly").raise_for_status().json()
        automations = http.post("/automations/filter", json={}).raise_for_status().json()
        http.delete(f"/deployments/{deployment['id']}").raise_for_status()
    assert deployment["paused"]
    assert [schedule["active"] for schedule in deployment["schedules"]] == [False]
    assert [one["enabled"] for one in automations if one["name"] == before.name] == [False]


def test_it_happens_once_and_says_what_stays_behind(before: Before, old: OldPlatform) -> None:
    assert carry_over.is_due(before.instance)
    said: list[str] = []
    carry_over.finish(before.instance, old, said.append)
    assert not carry_over.is_due(before.instance)
    aside = Path(before.instance.state / "prefect" / "prefect.db.carried-over")
    assert aside.exists()
    assert old.left_behind["flow runs"] == 1
    assert old.left_behind["artifacts"] == 1
    assert all(f"{count} {what}" in said[0] for what, count in old.left_behind.items())
    assert str(aside) in said[0]
