"""Who hears of what: through a real server, to a receiver on this machine."""

import json
import uuid
from collections.abc import Callable
from functools import partial

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.webhook import Webhook
from prefect.events import emit_event
from prefect.server.utilities.user_templates import render_user_template_sync

from deployments.prefect.automation_rules import Message, Target, as_json
from flows.core.trigger.attempts import UNAVAILABLE
from flows.core.trigger.run_labels import RESTARTED, TRIGGERED
from tests.automations.conftest import Operations, Receiver
from tests.support.rows import rest_slow
from tests.support.waiting import wait_until

pytestmark = pytest.mark.exclusive

EVENTS = 200
WHY = 'TestsFailed: 2 of 12 tests failed: "it" & <that>.\nMend them, and push.'


@pytest.fixture(scope="module")
def webhook(operations: Operations, receiver: Receiver) -> Target:
    target = operations.save(Webhook(url=receiver.url))
    operations.ensure(target)
    return target


def test_a_failed_release_is_sent_to_a_webhook_as_json(
    operations: Operations, receiver: Receiver, webhook: Target
) -> None:
    run = operations.planned("release/tiny")
    operations.put(run, "FAILED", WHY, name="Undone")
    message = receiver.about(run.name)
    assert message["what"] == f"Failed: {run.name}"
    assert message["why"] == WHY
    assert message["move"].startswith("Operations")
    assert message["link"] == f"{operations.api.ui_url}/runs/flow-run/{run.id}"
    assert WHY in message["text"]


def test_ci_that_found_a_system_away_notifies_operations_and_is_no_failure(
    operations: Operations, receiver: Receiver, webhook: Target
) -> None:
    run = operations.planned("ci/tiny", (TRIGGERED,), seconds=0)
    operations.put(run, "CRASHED", "The registry does not answer.", name=UNAVAILABLE)
    message = receiver.about(run.name)
    assert (message["what"], message["why"]) == (f"CI waits: {run.name}", "The registry does not answer.")
    assert message["move"].startswith("Operations: ")


def test_an_approval_is_asked_for_with_what_would_change(
    operations: Operations, receiver: Receiver, webhook: Target
) -> None:
    run = operations.start("release/tiny")
    message = receiver.about(run.name)
    assert message["what"] == f"Approval wanted: {run.name}, for production"
    assert message["why"] == "4f2c9e1 + classifier 1.1.0, for Ada"
    assert "press Resume" in message["move"]
    assert message["link"].endswith(f"/runs/flow-run/{run.id}")
    wait_until(lambda: operations.state_of(run) == "PAUSED", "The run does not pause")
    operations.client.resume_flow_run(run.id, run_input={"approve": False, "name": "Ada"})
    wait_until(lambda: operations.state_of(run) == "COMPLETED", "The run does not end")


def test_a_night_that_is_missing_is_reported(
    operations: Operations, receiver: Receiver, webhook: Target
) -> None:
    wanted = {"what": "No nightly release", "why": "none began", "move": "Operations", "link": "http://here"}
    emit_event("slipway.nightly.missing", {"prefect.resource.id": "slipway.nightly"}, payload=wanted)
    message = receiver.about("No nightly release")
    assert {key: message[key] for key in wanted} == wanted


@pytest.mark.slow
def test_of_two_hundred_events_at_once_each_is_reported(operations: Operations, receiver: Receiver) -> None:
    """Prefect's server makes about five calls a second.

    A `webhook` block does not do: all of its calls share one pool of connections, which Prefect closes at the
    end of each.
    """
    body = {"what": "{{subject}}", "text": "{{body}}"}
    block = CustomWebhookNotificationBlock(name="ops", url=receiver.url, json_data=body)
    operations.ensure(operations.save(block))
    mark = uuid.uuid4().hex
    for number in range(EVENTS):
        payload = {"what": f"{mark} {number}", "why": "a test", "move": "None", "link": "http://here"}
        emit_event("slipway.nightly.missing", {"prefect.resource.id": "slipway.nightly"}, payload=payload)

    def arrived() -> set[str]:
        return {json.loads(body)["what"] for body in receiver.bodies if mark in body}

    while (seen := len(arrived())) < EVENTS:
        wait_until(partial(is_more, arrived, seen), f"Only {seen} of {EVENTS} have arrived")


def is_more(found: Callable[[], set[str]], than: int) -> bool:
    return len(found()) > than


@pytest.mark.parametrize(
    ("tags", "attempt", "move"),
    rest_slow(
        [
            ((TRIGGERED,), "r:main:4f2c9e1:sha256:1:3", "Operations: it was the last of 3 tries."),
            ((), "", "None: it is restarted automatically."),
            ((RESTARTED,), "", "Operations: it was the second try already."),
            ((TRIGGERED,), "r:main:4f2c9e1:sha256:1:1", "None: the poller restarts it"),
        ],
        1,
    ),
)
def test_a_crash_is_reported_with_what_becomes_of_it(
    operations: Operations,
    receiver: Receiver,
    webhook: Target,
    tags: tuple[str, ...],
    attempt: str,
    move: str,
) -> None:
    run = operations.planned("ci/tiny", tags, key=attempt and f"{uuid.uuid4().hex}:{attempt}", seconds=0)
    operations.put(run, "CRASHED", "its process is gone")
    message = receiver.about(f"Crashed: {run.name}")
    assert (message["what"], message["why"]) == (f"Crashed: {run.name}", "its process is gone")
    assert message["move"].startswith(move)
    assert message["link"] == f"{operations.api.ui_url}/runs/flow-run/{run.id}"


def test_what_ends_well_and_what_is_not_ours_is_not_reported(
    operations: Operations, receiver: Receiver, webhook: Target
) -> None:
    theirs = operations.client.create_flow_run_from_deployment(
        operations.deployments["restart-crashed/on-crash"]
    )
    operations.put(theirs, "FAILED", "not of CI, nor of a release")
    ours = operations.planned("ci/tiny", seconds=0)
    operations.put(ours, "COMPLETED", "well")
    last = operations.planned("ci/tiny", seconds=0)
    operations.put(last, "FAILED", "badly")
    assert receiver.about(last.name)["what"] == f"CI failed: {last.name}"
    assert not any(run.name in body for run in (theirs, ours) for body in receiver.bodies)


def test_a_notification_block_gets_it_as_subject_and_text(operations: Operations, receiver: Receiver) -> None:
    body = {"title": "{{subject}}", "text": "{{body}}"}
    block = CustomWebhookNotificationBlock(name="ops", url=receiver.url, json_data=body)
    operations.ensure(operations.save(block))
    run = operations.planned("ci/tiny", seconds=0)
    operations.put(run, "FAILED", WHY)
    assert receiver.about(run.name) == {
        "title": f"CI failed: {run.name}",
        "text": f"What: CI failed: {run.name}\nWhy: {WHY}\nNext step: The commit's author "
        "corrects it, unless the reason names another cause. `latest` did not move.\n"
        f"Link: {operations.api.ui_url}/runs/flow-run/{run.id}",
    }


def test_a_target_that_is_down_changes_no_run_and_is_seen_in_the_event_feed(operations: Operations) -> None:
    target = operations.save(Webhook(url="http://127.0.0.1:1/"))
    operations.ensure(target)
    run = operations.planned("ci/tiny", seconds=0)
    operations.put(run, "FAILED", WHY)
    wait_until(lambda: bool(undelivered(operations, target)), "No event says that it is down")
    [reason] = set(undelivered(operations, target))
    assert reason == "Webhook call failed: ConnectError('All connection attempts failed')"
    assert operations.state_of(run) == "FAILED"


def undelivered(operations: Operations, target: Target) -> list[str]:
    """Why notifications to the target failed, as the event feed says."""
    failed = operations.events("prefect.automation.action.failed")
    block = f"prefect.block-document.{target.id}"
    return [
        e["payload"]["reason"] for e in failed if block in {r["prefect.resource.id"] for r in e["related"]}
    ]


def test_json_holds_whatever_a_reason_holds() -> None:
    message = Message("{{ a }}", "{{ b }}", "you", "http://here")
    rendered = render_user_template_sync(as_json(message), {"a": 'x"y', "b": WHY})
    assert json.loads(rendered)["why"] == WHY
    assert json.loads(rendered)["what"] == 'x"y'
