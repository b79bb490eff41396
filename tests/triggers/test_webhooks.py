"""What deliveries are answered, and which of them start a run."""

import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect_azure import AzureBlobStorageCredentials

from flows.core.trigger.attempts import MAX_ATTEMPTS, NOT_THERE_YET
from flows.core.trigger.run_labels import branch_tag
from flows.services.prefect.api import FlowRuns
from flows.triggers import webhook_config
from flows.triggers.webhooks import application
from flows.triggers.worker import MAX_BODY
from tests.stand_ins.unreliable_network import UnreliableLine, breaking_line
from tests.support.waiting import wait_until
from tests.triggers.conftest import DELIVERIES, LOGIN, NOWHERE, SECRET, Sender, Team, github_push, signed


def test_a_push_is_answered_with_the_run_that_it_started(team: Team, sender: Sender) -> None:
    sha = team.commit()
    answer = sender.github(sha)
    assert answer.status_code == 202
    run = team.only_run(sha)
    assert answer.json["run_id"] == run.id
    assert answer.json["url"] == f"{team.api.ui_url}/runs/flow-run/{run.id}"
    assert run.parameters["ref"] == sha
    assert {"ci", "branch:main", f"model:{team.model} 1.0.0"} <= set(run.tags)


def test_the_same_commit_with_the_same_model_is_the_same_run_from_every_provider(
    team: Team, sender: Sender
) -> None:
    sha = team.commit()
    first = sender.github(sha)
    for again in (sender.github(sha), sender.azure_devops(sha)):
        assert again.status_code == 202
        assert again.json["run_id"] == first.json["run_id"]
        assert not again.json["new"]
    team.only_run(sha)


def test_the_same_commit_with_another_model_is_another_run(team: Team, sender: Sender) -> None:
    sha = team.commit()
    first = sender.github(sha)
    team.publish("1.1.0", "colours")
    assert sender.github(sha).json["run_id"] != first.json["run_id"]


@pytest.fixture
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each delivery asks for the run that it names."""
    monkeypatch.setattr(webhook_config, "SAME_FOR", 0)


@pytest.mark.usefixtures("nothing_kept")
def test_after_a_crash_the_commit_is_built_again_three_times_in_all(team: Team, sender: Sender) -> None:
    sha = team.commit()
    for _ in range(5):
        sender.github(sha)
        for run in team.runs(sha):
            team.set_state(run, "CRASHED")
    assert len(team.runs(sha)) == 3


@pytest.mark.usefixtures("nothing_kept")
def test_a_mirror_that_lags_takes_no_attempt_however_often_the_commit_is_announced(
    team: Team, sender: Sender
) -> None:
    sha = team.commit()
    for _ in range(MAX_ATTEMPTS + 1):
        sender.github(sha)
        run = team.api.flow_run(team.runs(sha)[-1].id)
        team.api.set_state(run, "CRASHED", "a test says so", NOT_THERE_YET)
    team.watch().look()
    assert [run.state for run in team.runs(sha)] == ["CRASHED"] * (MAX_ATTEMPTS + 1) + ["SCHEDULED"]


def test_a_run_that_failed_is_not_restarted(team: Team, sender: Sender) -> None:
    sha = team.commit()
    sender.github(sha)
    team.set_state(team.only_run(sha), "FAILED")
    assert sender.github(sha).json["run_id"] == team.only_run(sha).id


@pytest.mark.parametrize(
    ("changed", "event", "why"),
    [
        ({"ref": "refs/heads/idea"}, "push", "idea is not built"),
        ({"ref": "refs/tags/v1"}, "push", "refs/tags/v1 is no branch"),
        ({"after": "0" * 40}, "push", "was deleted"),
        ({}, "ping", "ping"),
        ({}, "workflow_run", "builds nothing"),
    ],
)
def test_what_is_not_built_is_ignored_and_says_why(
    team: Team, sender: Sender, changed: dict[str, Any], event: str, why: str
) -> None:
    answer = sender.github(team.commit(), event=event, **changed)
    assert answer.status_code == 200
    assert why in answer.json["ignored"][0]
    assert all_runs(team) == 0


def test_a_push_before_there_is_a_model_is_ignored_for_now(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_MODEL__NAME", f"{team.model}-none")
    answer = Sender(application().test_client()).github(team.commit())
    assert answer.status_code == 200
    assert "nothing can be built yet" in answer.json["ignored"][0]


def forged(sender: Sender, sha: str) -> Any:
    return sender.github(sha, secret="guessed")


def unsigned(sender: Sender, sha: str) -> Any:
    return sender.client.post("/hooks/github", data=github_push(sha), headers={"X-GitHub-Event": "push"})


def signed_as_another_body(sender: Sender, sha: str) -> Any:
    headers = signed(github_push("a" * 40))
    return sender.client.post("/hooks/github", data=github_push(sha), headers=headers)


def without_password(sender: Sender, sha: str) -> Any:
    return sender.client.post("/hooks/azure-devops", json={})


def with_a_wrong_password(sender: Sender, sha: str) -> Any:
    return sender.azure_devops(sha, login="slipway:guessed")


def of_another_repository(sender: Sender, sha: str) -> Any:
    return sender.github(sha, repository={"clone_url": "https://github.com/mallory/app.git"})


def too_large(sender: Sender, sha: str) -> Any:
    return sender.github(sha, padding="x" * MAX_BODY)


def no_json(sender: Sender, sha: str) -> Any:
    return sender.client.post("/hooks/github", data=b"{", headers=signed(b"{"))


def deeply_nested(sender: Sender, sha: str) -> Any:
    body = b"[" * 100_000
    return sender.client.post("/hooks/github", data=body, headers=signed(body))


def malformed(sender: Sender, sha: str) -> Any:
    return sender.github("HEAD")


@pytest.mark.parametrize(
    ("deliver", "status"),
    [
        (forged, 401),
        (unsigned, 401),
        (signed_as_another_body, 401),
        (without_password, 401),
        (with_a_wrong_password, 401),
        (of_another_repository, 403),
        (too_large, 413),
        (no_json, 422),
        (deeply_nested, 422),
        (malformed, 422),
    ],
)
def test_what_is_refused_is_not_asked_of_prefect(
    team: Team,
    network: UnreliableLine,
    sender: Sender,
    deliver: Callable[[Sender, str], Any],
    status: int,
) -> None:
    sha = team.commit()
    sender.github(sha, event="ping")  # secrets are known from here on
    network.break_off()
    assert deliver(sender, sha).status_code == status
    network.mend()
    assert all_runs(team) == 0


def test_a_delivery_that_is_replayed_later_starts_nothing(team: Team, sender: Sender) -> None:
    older = team.commit()
    recorded = github_push(older)
    sender.client.post("/hooks/github", data=recorded, headers=signed(recorded))
    team.set_state(team.only_run(older), "COMPLETED")
    newer = team.commit()
    sender.github(newer, before=older)
    replayed: Any = sender.client.post("/hooks/github", data=recorded, headers=signed(recorded))
    assert replayed.json["run_id"] == team.only_run(older).id
    assert team.only_run(newer).state == "SCHEDULED"


def test_a_plain_model_that_may_be_written_still_is_left_to_the_watch(
    team: Team, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_MODEL__NAME", f"{team.model}-plain")
    team.models._blobs.replace(f"{team.model}-plain/model.onnx", b"half of it")
    sha = team.commit()
    answer = sender.github(sha)
    assert (answer.status_code, answer.json["ignored"]) == (
        200,
        ["the model may be written still: the poller starts the run then"],
    )
    assert team.runs(sha) == []
    wait_until(lambda: sender.github(sha).status_code == 202, "It is never taken for whole")
    team.only_run(sha)


def test_a_hook_that_sends_a_form_is_understood(team: Team, sender: Sender) -> None:
    body = urlencode({"payload": github_push(team.commit()).decode()}).encode()
    headers = signed(body) | {"Content-Type": "application/x-www-form-urlencoded"}
    assert sender.client.post("/hooks/github", data=body, headers=headers).status_code == 202


def test_while_prefect_is_away_a_delivery_is_to_come_again(
    team: Team, network: UnreliableLine, sender: Sender
) -> None:
    sha = team.commit()
    sender.github(sha, event="ping")
    network.break_off()
    newcomer = Sender(application().test_client())  # which has no secret yet
    for one in (sender, newcomer):
        answer = one.github(sha)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
    network.mend()
    assert sender.github(sha).status_code == 202


def test_while_the_store_is_away_a_delivery_is_to_come_again(
    team: Team, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = team.commit()
    AzureBlobStorageCredentials(connection_string=NOWHERE).save(f"{team.model}-nowhere", overwrite=True)
    with monkeypatch.context() as away:
        away.setenv("SLIPWAY_MODEL__CREDENTIALS", f"{team.model}-nowhere")
        answer = Sender(application().test_client()).github(sha)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert team.runs(sha) == []
    assert sender.github(sha).status_code == 202


def test_the_log_names_deliveries_without_bodies_and_secrets(
    team: Team, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sha = team.commit()
    sender.github(sha, message="private words")
    sender.github(sha, secret="guessed", message="private words")
    sender.azure_devops(sha)
    assert "/hooks/github" in caplog.text
    assert "401" in caplog.text
    for kept in ("private words", SECRET, LOGIN.partition(":")[2], "guessed"):
        assert kept not in caplog.text


def test_a_newer_commit_cancels_the_run_of_the_one_before_and_takes_over_what_that_passed_over(
    team: Team, sender: Sender
) -> None:
    first, second, third = team.commit(), team.commit(), team.commit()
    sender.github(second, before=first)
    sender.github(third, before=second)
    assert team.only_run(second).state == "CANCELLED"
    assert "overtaken" in team.only_run(second).tags
    assert team.only_run(third).parameters["since"] == first


def test_an_older_commit_that_is_announced_late_cancels_nothing(team: Team, sender: Sender) -> None:
    first, second = team.commit(), team.commit()
    sender.github(second, before=first)
    sender.github(first, before="0" * 40)
    assert team.only_run(second).state == "SCHEDULED"


def test_githubs_examples_of_other_events_are_ignored(team: Team, sender: Sender) -> None:
    for name, event in (("github-push-tag", "push"), ("github-create", "create")):
        body = (DELIVERIES / f"{name}.json").read_bytes()
        assert sender.client.post("/hooks/github", data=body, headers=signed(body, event)).status_code == 200


def test_the_receiver_says_that_it_lives(sender: Sender) -> None:
    assert sender.client.get("/healthz").status_code == 200


@pytest.fixture
def network(team: Team) -> Iterator[UnreliableLine]:
    """The way to Prefect's server, which `sender` takes too where both are asked for."""
    with (
        breaking_line(int(team.api.ui_url.rpartition(":")[2])) as network,
        temporary_settings(
            {PREFECT_API_URL: f"http://127.0.0.1:{network.port}/api", PREFECT_CLIENT_MAX_RETRIES: 1}
        ),
    ):
        yield network


def all_runs(team: Team) -> int:
    with FlowRuns() as runs:
        found = [*runs.with_tags(branch_tag("main")), *runs.with_tags(branch_tag("idea"))]
    return len([run for run in found if f"model:{team.model} 1.0.0" in run.tags])
