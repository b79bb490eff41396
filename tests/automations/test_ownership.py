"""Automations are what the code says: no more, no fewer; those of others stay."""

from datetime import timedelta
from uuid import uuid4

import pytest
from prefect.blocks.webhook import Webhook
from prefect.events import AutomationCore, EventTrigger, Posture
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import Automation

from deployments.prefect import automations
from deployments.prefect.api import POOL
from deployments.prefect.work_pool import RETIRED
from flows.core.errors import SettingsError
from tests.automations.conftest import Operations
from tests.support.prefect_client import asking

pytestmark = pytest.mark.exclusive

ACTING = {"Slipway: run crashed", "Slipway: run lost"}
TELLING = {
    "Slipway: CI failed",
    "Slipway: CI waits",
    "Slipway: approval wanted",
    "Slipway: crash",
    "Slipway: nightly missing",
    "Slipway: release failed",
}


@pytest.fixture(autouse=True)
def nothing_yet(operations: Operations) -> None:
    automations.apply(operations.client, [])


def present(operations: Operations) -> dict[str, Automation]:
    return {found.name: found for found in operations.client.read_automations()}


def test_made_once_and_then_left_as_they_are(operations: Operations) -> None:
    target = operations.save(Webhook(url="http://127.0.0.1:1/"))
    assert len(operations.ensure(target)) == len(ACTING | TELLING)
    before = {name: found.id for name, found in present(operations).items()}
    assert operations.ensure(target) == []
    assert {name: found.id for name, found in present(operations).items()} == before
    assert before.keys() >= ACTING | TELLING


def test_what_is_not_named_any_more_disappears(operations: Operations) -> None:
    operations.ensure(operations.save(Webhook(url="http://127.0.0.1:1/")))
    done = operations.ensure(None)
    assert {line.removesuffix(": deleted") for line in done} == TELLING
    assert present(operations).keys() & (ACTING | TELLING) == ACTING


def test_what_has_changed_is_put_right_but_for_the_switch(operations: Operations) -> None:
    operations.ensure(lost_after=90)
    operations.client.pause_automation(present(operations)["Slipway: run lost"].id)
    assert operations.ensure(lost_after=100) == ["Slipway: run lost: changed"]
    found = present(operations)["Slipway: run lost"]
    assert isinstance(found.trigger, EventTrigger)
    assert found.trigger.within == timedelta(seconds=100)
    assert not found.enabled


def test_those_of_others_are_left_alone(operations: Operations) -> None:
    trigger = EventTrigger(expect={"theirs"}, posture=Posture.Reactive, threshold=1)
    theirs = AutomationCore(name="Slipway: theirs", trigger=trigger, actions=[DoNothing()])
    identity = operations.client.create_automation(theirs)
    operations.ensure()
    automations.apply(operations.client, [])
    assert operations.client.read_automation(identity) is not None
    operations.client.delete_automation(identity)


def test_a_block_that_is_missing_is_named_with_the_remedy(operations: Operations) -> None:
    block = f"slack-webhook/{uuid4().hex[:8]}"
    with pytest.raises(SettingsError, match=f"no block {block}.*Create it"):
        automations.target_of(operations.client, block)


def test_deployments_with_retired_names_are_deleted_and_that_is_said_once(operations: Operations) -> None:
    with asking(operations.api) as http:
        for name in RETIRED:
            flow, _, deployment = name.partition("/")
            made = http.post("/flows/", json={"name": flow}).raise_for_status().json()
            content = {"name": deployment, "flow_id": made["id"], "work_pool_name": POOL}
            http.post("/deployments/", json=content).raise_for_status()
    said = automations.delete_retired(operations.client, automations.registered(operations.client))
    assert [line.partition(":")[0] for line in said] == list(RETIRED)
    left = automations.registered(operations.client)
    assert not set(RETIRED) & set(left)
    assert automations.delete_retired(operations.client, left) == []
