"""What is wanted and not built is found, whatever was lost; and what is in the way is logged once."""

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_azure import AzureBlobStorageCredentials

from flows.core.trigger import attempts
from flows.core.trigger.attempts import MAX_ATTEMPTS, UNAVAILABLE
from flows.core.trigger.run_labels import TRIGGERED, base_tag, branch_tag, commit_tag
from flows.services.git.repository import Repository
from flows.services.models.blob_store import BlobStore
from flows.services.prefect.api import PUSHING, FlowRuns
from flows.triggers import base_image
from flows.triggers.launcher import OVERTAKEN
from flows.triggers.webhooks import application
from tests.support.prefect_client import asking
from tests.triggers.conftest import MODELS, NOWHERE, Sender, Team, deploy_without_a_worker


def test_a_commit_that_was_not_announced_is_built(team: Team) -> None:
    sha = team.commit()
    team.watch().look()
    run = team.only_run(sha)
    assert run.parameters["ref"] == sha
    assert any(f"main {sha[:7]} + {team.model} 1.0.0: started" in line for line in team.said)


def test_receiver_and_watch_together_start_one_run(team: Team, sender: Sender) -> None:
    announced = team.commit()
    sender.github(announced)
    team.watch().look()
    team.only_run(announced)
    found = team.commit()
    team.watch().look()
    assert sender.github(found).json["run_id"] == team.only_run(found).id


def test_what_latest_names_is_not_built_again(team: Team) -> None:
    sha = team.commit()
    team.is_built(sha, team.models.newest(team.model))
    team.watch().look()
    assert team.runs(sha) == []


def test_a_new_model_is_built_with_the_code_of_the_released_branch(team: Team) -> None:
    sha, other = team.git("rev-parse", "HEAD"), team.commit("feature/a")
    team.is_built(sha, team.models.newest(team.model))
    watch = team.watch()
    watch.look()
    team.publish("1.1.0", "colours")
    watch.look()
    assert f"model:{team.model} 1.1.0" in team.only_run(sha).tags
    assert f"model:{team.model} 1.0.0" in team.only_run(other, "feature/a").tags


@pytest.fixture
def asked_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base image's registry is."""
    monkeypatch.setattr(base_image, "INTERVAL", 0)


@pytest.mark.usefixtures("asked_at_each_look")
def test_a_new_digest_of_the_base_image_is_built_once_with_what_is_there(team: Team) -> None:
    sha, watch = team.commit(), team.watch()
    team.is_built(sha, team.models.newest(team.model))
    watch.look()
    assert team.runs(sha) == []
    digest = team.publish_base()
    for _ in range(2):
        watch.look()
    run = team.only_run(sha)
    assert base_tag(digest) in run.tags
    [line] = team.said
    assert f"because base image {team.base.name} has a new digest, {digest[:19]}" in line
    team.set_state(run, "COMPLETED")
    team.is_built(sha, team.models.newest(team.model), "the newer run")
    watch.look()
    team.only_run(sha)


@pytest.mark.slow
@pytest.mark.usefixtures("asked_at_each_look")
def test_latest_that_moved_back_to_an_older_base_image_is_built_again(team: Team) -> None:
    sha, watch = team.commit(), team.watch()
    for number in range(2):
        team.is_built(sha, team.models.newest(team.model), f"run {number}", base="sha256:" + f"{number}" * 64)
        watch.look()
        team.set_state(team.runs(sha)[-1], "COMPLETED")
    assert len(team.runs(sha)) == 2


@pytest.mark.slow
def test_a_base_image_that_cannot_be_asked_for_delays_no_commit_and_takes_no_attempt(team: Team) -> None:
    sha, other, watch = team.commit(), team.commit("feature/a"), team.watch()
    team.is_built(sha, team.models.newest(team.model), base="sha256:" + "0" * 64)
    with pytest.MonkeyPatch.context() as away:
        away.setenv("SLIPWAY_APP__BASE_IMAGE", "localhost:1/team/base:1")
        for _ in range(2):
            watch.look()
    team.only_run(other, "feature/a")
    assert team.runs(sha) == []
    assert ["could not be reached" in line for line in team.said] == [False, True]
    watch.look()
    team.only_run(sha)


@pytest.mark.slow
def test_off_the_released_branch_a_new_base_image_builds_nothing(team: Team) -> None:
    sha, watch = team.commit("feature/a"), team.watch()
    watch.look()
    team.set_state(team.only_run(sha, "feature/a"), "COMPLETED")
    team.publish_base()
    watch.look()
    team.only_run(sha, "feature/a")


def test_a_pinned_model_is_what_is_wanted(team: Team) -> None:
    sha, older = team.git("rev-parse", "HEAD"), team.models.newest(team.model)
    team.is_built(sha, team.publish("1.1.0", "colours"))
    team.models.pin(team.model, older.version, "a run")
    team.watch().look()
    assert f"model:{team.model} 1.0.0" in team.only_run(sha).tags


@pytest.mark.slow
def test_a_plain_file_is_taken_once_two_looks_agree(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{team.model}-plain"
    monkeypatch.setenv("SLIPWAY_MODEL__NAME", name)
    store: BlobStore = team.models._blobs
    onnx = (MODELS / "digits" / "model.onnx").read_bytes()
    sha, watch = team.commit(), team.watch()
    for content in (onnx[:1000], onnx[:2000], onnx):
        store.replace(f"{name}/model.onnx", content)
        watch.look()
        assert team.runs(sha) == []
    watch.look()
    team.only_run(sha)


@pytest.mark.slow
def test_a_version_with_the_same_weights_and_other_labels_is_built(team: Team) -> None:
    sha = team.commit()
    team.is_built(sha, team.models.newest(team.model))
    watch = team.watch()
    watch.look()
    team.publish("1.0.1")
    watch.look()
    assert f"model:{team.model} 1.0.1" in team.only_run(sha).tags


@pytest.mark.slow
def test_a_commit_on_two_branches_is_built_for_both(team: Team) -> None:
    sha, watch = team.commit("feature/a"), team.watch()
    watch.look()
    team.set_state(team.only_run(sha, "feature/a"), "COMPLETED")
    watch.look()
    team.git("switch", "--quiet", "--create", "feature/b")
    watch.look()
    team.only_run(sha, "feature/b")


@pytest.mark.parametrize(("branch", "built"), [("feature/a", 1), ("idea", 0)])
def test_other_branches_are_built_where_a_pattern_says_so(team: Team, branch: str, built: int) -> None:
    sha, watch = team.commit(branch), team.watch()
    watch.look()
    watch.look()
    assert len(team.runs(sha, branch)) == built


def test_of_several_commits_the_newest_is_built_and_the_run_knows_since_when(team: Team) -> None:
    before = team.git("rev-parse", "HEAD")
    team.is_built(before, team.models.newest(team.model))
    passed, newest = team.commit(), team.commit()
    team.watch().look()
    assert team.runs(passed) == []
    assert team.only_run(newest).parameters["since"] == before


def test_a_run_for_an_older_commit_is_cancelled(team: Team) -> None:
    watch = team.watch()
    watch.look()
    older = team.git("rev-parse", "HEAD")
    newer = team.commit()
    watch.look()
    superseded = team.only_run(older)
    assert (superseded.state, team.only_run(newer).state) == ("CANCELLED", "SCHEDULED")
    assert superseded.message == f"Overtaken by {newer[:7]} on main."


@pytest.mark.slow
def test_a_run_for_an_older_commit_is_let_go_on_once_it_pushes(team: Team) -> None:
    watch = team.watch()
    watch.look()
    older = team.git("rev-parse", "HEAD")
    team.begins(team.only_run(older), PUSHING)
    newer = team.commit()
    watch.look()
    assert (team.only_run(older).state, team.only_run(newer).state) == ("SCHEDULED", "SCHEDULED")


@pytest.mark.slow
def test_what_a_receiver_that_was_killed_did_not_cancel_is_cancelled(team: Team, sender: Sender) -> None:
    """The newer run is there already, so that no trigger starts it again."""
    older, newer = team.git("rev-parse", "HEAD"), team.commit()
    for sha in (newer, older):
        sender.github(sha, before="0" * 40)
    team.watch().look()
    assert (team.only_run(older).state, team.only_run(newer).state) == ("CANCELLED", "SCHEDULED")


@pytest.mark.slow
def test_a_run_that_was_started_during_a_look_is_not_cancelled_by_it(
    team: Team, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, pushed = team.commit(), []
    listed = Repository.heads

    def heads(repository: Repository) -> dict[str, str]:
        found = listed(repository)
        pushed.append(team.commit())
        sender.github(pushed[0])
        return found

    monkeypatch.setattr(Repository, "heads", heads)
    team.watch().look()
    assert (team.only_run(seen).state, team.only_run(pushed[0]).state) == ("SCHEDULED", "SCHEDULED")


def test_a_fault_of_ours_is_logged_once_and_does_not_end_the_watch(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heads(_: Repository) -> dict[str, str]:
        raise KeyError("no such key")

    watch, sha = team.watch(), team.commit()
    with monkeypatch.context() as faulty:
        faulty.setattr(Repository, "heads", heads)
        watch.look()
        watch.look()
    [said] = [line for line in team.said if "Warning" in line]
    assert "KeyError: 'no such key'" in said
    watch.look()
    assert "The problem has passed." in team.said
    assert team.only_run(sha).state == "SCHEDULED"


@pytest.mark.slow
def test_runs_of_another_project_on_the_same_server_are_left_alone(team: Team) -> None:
    older, theirs = team.git("rev-parse", "HEAD"), uuid.uuid4().hex
    deploy_without_a_worker(team.api, theirs)
    with FlowRuns() as runs:
        tags = (TRIGGERED, branch_tag("main"), commit_tag(older))
        run, _ = runs.create(f"ci/{theirs}", theirs, {"ref": "main"}, tags, "theirs")
    watch = team.watch()
    watch.look()
    team.commit()
    watch.look()
    assert team.api.flow_run(run.id).state == "SCHEDULED"


@pytest.mark.slow
def test_a_run_that_a_person_started_for_an_older_commit_is_left_alone(team: Team) -> None:
    older = team.git("rev-parse", "HEAD")
    with FlowRuns() as runs:
        tags = (branch_tag("main"), commit_tag(older))
        by_hand, _ = runs.create(team.deployment, uuid.uuid4().hex, {"ref": "main"}, tags, "by hand")
    watch = team.watch()
    watch.look()
    team.commit()
    watch.look()
    states = {run.name: run.state for run in team.runs(older)}
    assert states.pop("by hand") == "SCHEDULED"
    (superseded,) = states
    assert superseded.startswith(f"{older[:7]} + {team.model} 1.0.0 on main — Overtaken by ")
    assert team.api.flow_run(by_hand.id).state == "SCHEDULED"


@pytest.mark.slow
def test_a_run_that_a_person_retries_for_an_older_commit_is_left_alone(team: Team) -> None:
    older, watch = team.git("rev-parse", "HEAD"), team.watch()
    watch.look()
    for state in ("RUNNING", "FAILED", "SCHEDULED"):
        team.set_state(team.only_run(older), state)
    team.commit()
    watch.look()
    team.set_state(team.only_run(older), "RUNNING")
    watch.look()
    assert team.only_run(older).state == "RUNNING"


@pytest.mark.slow
def test_off_the_released_branch_a_new_model_cancels_no_run(team: Team) -> None:
    sha, watch = team.commit("feature/a"), team.watch()
    watch.look()
    team.publish("1.1.0", "colours")
    watch.look()
    assert team.only_run(sha, "feature/a").state == "SCHEDULED"


@pytest.mark.slow
@pytest.mark.parametrize("state", ["SCHEDULED", "RUNNING"])
def test_a_run_that_ended_before_it_could_be_cancelled_stays_as_it_is(team: Team, state: str) -> None:
    sha = team.git("rev-parse", "HEAD")
    team.watch().look()
    team.set_state(team.only_run(sha), state)
    seen = team.only_run(sha)
    team.set_state(seen, "COMPLETED")
    with FlowRuns() as runs:
        runs.cancel(seen, "Overtaken by another.", OVERTAKEN)
    found = team.only_run(sha)
    assert (found.state, found.name, set(found.tags)) == ("COMPLETED", seen.name, set(seen.tags))


@pytest.mark.slow
def test_an_older_commit_that_is_wanted_again_is_built_again_and_once(team: Team) -> None:
    older = team.git("rev-parse", "HEAD")
    team.watch().look()
    team.set_state(team.only_run(older), "COMPLETED")
    team.is_built(team.commit(), team.models.newest(team.model), "the newer run")
    team.git("reset", "--quiet", "--hard", older)
    watch = team.watch()
    for _ in range(3):
        watch.look()
    assert [run.state for run in team.runs(older)] == ["COMPLETED", "SCHEDULED"]


def test_an_overtaken_commit_that_is_wanted_again_is_built(team: Team) -> None:
    older, watch = team.git("rev-parse", "HEAD"), team.watch()
    watch.look()
    team.commit()
    watch.look()
    team.git("reset", "--quiet", "--hard", older)
    watch.look()
    assert sorted(run.state for run in team.runs(older)) == ["CANCELLED", "SCHEDULED"]


@pytest.mark.slow
def test_an_overtaken_commit_is_built_again_though_its_run_has_written_its_own_tags_meanwhile(
    team: Team,
) -> None:
    older, watch = team.git("rev-parse", "HEAD"), team.watch()
    watch.look()
    begun = team.only_run(older)
    team.set_state(begun, "RUNNING")
    team.commit()
    watch.look()
    with asking(team.api) as client:
        client.patch(f"/flow_runs/{begun.id}", json={"tags": list(begun.tags)}).raise_for_status()
    team.set_state(begun, "CANCELLED")  # as its worker says, in words of its own
    team.git("reset", "--quiet", "--hard", older)
    watch.look()
    assert sorted(run.state for run in team.runs(older)) == ["CANCELLED", "SCHEDULED"]


@pytest.mark.slow
def test_a_run_of_what_is_wanted_again_is_restarted_when_it_crashes(team: Team) -> None:
    older = team.git("rev-parse", "HEAD")
    team.watch().look()
    team.set_state(team.only_run(older), "COMPLETED")
    team.is_built(team.commit(), team.models.newest(team.model), "the newer run")
    team.git("reset", "--quiet", "--hard", older)
    watch = team.watch()
    watch.look()
    team.set_state(team.runs(older)[-1], "CRASHED")
    watch.look()
    assert [run.state for run in team.runs(older)] == ["COMPLETED", "CRASHED", "SCHEDULED"]


@pytest.mark.parametrize("branch", ["main", pytest.param("feature/a", marks=pytest.mark.slow)])
def test_a_commit_that_comes_and_goes_is_built_each_time_whatever_became_of_its_runs(
    team: Team, branch: str
) -> None:
    older, watch = team.commit(branch), team.watch()
    for _ in range(2):
        watch.look()
        newer = team.commit(branch)
        watch.look()
        team.git("reset", "--quiet", "--hard", older)
    watch.look()
    team.set_state(team.runs(older, branch)[-1], "CRASHED")
    watch.look()
    states = [run.state for run in team.runs(older, branch)]
    assert states == ["CANCELLED", "CANCELLED", "CRASHED", "SCHEDULED"]
    assert [run.state for run in team.runs(newer, branch)] == ["CANCELLED"]


@pytest.mark.parametrize("ended", ["FAILED", "CANCELLED"])
def test_what_failed_or_was_cancelled_by_a_person_is_left_to_people(team: Team, ended: str) -> None:
    sha, watch = team.commit(), team.watch()
    watch.look()
    team.set_state(team.only_run(sha), ended)
    watch.look()
    assert team.only_run(sha).state == ended


def test_what_crashed_is_restarted_until_it_was_tried_three_times(team: Team) -> None:
    sha, watch = team.commit(), team.watch()
    for _ in range(4):
        watch.look()
        team.set_state(team.runs(sha)[-1], "CRASHED")
    assert [run.state for run in team.runs(sha)] == ["CRASHED", "CRASHED", "CRASHED"]


def ended(team: Team, sha: str, name: str) -> None:
    """Let the newest run of the commit end with a state of that name, and the type of a crash."""
    team.api.set_state(team.api.flow_run(team.runs(sha)[-1].id), "CRASHED", "a test says so", name)


@pytest.mark.slow
def test_what_met_an_outage_is_started_again_after_a_pause_and_takes_no_attempt(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha, watch = team.commit(), team.watch()
    watch.look()
    ended(team, sha, UNAVAILABLE)
    watch.look()
    assert [run.state_name for run in team.runs(sha)] == [UNAVAILABLE]
    monkeypatch.setattr(attempts, "FIRST_PAUSE", timedelta())
    for _ in range(MAX_ATTEMPTS + 1):
        watch.look()
        ended(team, sha, UNAVAILABLE)
    for _ in range(MAX_ATTEMPTS):
        watch.look()
        team.set_state(team.runs(sha)[-1], "CRASHED")
    watch.look()
    assert [run.state_name for run in team.runs(sha)].count(UNAVAILABLE) == MAX_ATTEMPTS + 2
    assert len(team.runs(sha)) == 2 * MAX_ATTEMPTS + 2


def test_a_store_that_is_away_is_one_warning_and_delays_what_is_wanted(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    AzureBlobStorageCredentials(connection_string=NOWHERE).save(f"{team.model}-nowhere", overwrite=True)
    sha, watch = team.commit(), team.watch()
    with monkeypatch.context() as away:
        away.setenv("SLIPWAY_MODEL__CREDENTIALS", f"{team.model}-nowhere")
        for _ in range(3):
            watch.look()
    assert len(team.said) == 1
    assert "can't be reached" in team.said[0]
    watch.look()
    team.only_run(sha)
    assert "The problem has passed." in team.said


def test_a_repository_that_vanished_is_one_warning_and_found_when_it_is_back(team: Team) -> None:
    sha, watch = team.commit(), team.watch()
    elsewhere = team.repository.rename(team.repository.with_name("moved"))
    for _ in range(3):
        watch.look()
    assert len(team.said) == 1
    assert "There is no git repository at" in team.said[0]
    elsewhere.rename(team.repository)
    watch.look()
    team.only_run(sha)


@pytest.mark.slow
def test_prefect_that_is_away_is_one_warning_and_loses_nothing(team: Team) -> None:
    sha, watch = team.commit(), team.watch()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        for _ in range(3):
            watch.look()
        assert Sender(application().test_client()).github(sha).status_code == 503
    assert len(team.said) == 1
    assert "Prefect's server does not answer" in team.said[0]
    watch.look()
    team.only_run(sha)


@pytest.mark.slow
def test_a_released_branch_that_is_not_there_is_logged_and_the_others_are_built(team: Team) -> None:
    sha = team.commit("feature/a")
    team.git("branch", "--quiet", "--delete", "--force", "main")
    team.watch().look()
    assert "has no branch main" in team.said[-1]
    team.only_run(sha, "feature/a")


def test_a_wrong_setting_is_logged_and_does_not_end_the_watch(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = team.watch()
    monkeypatch.setenv("SLIPWAY_WATCH__DEPLOYMENT", "ci/none")
    watch.look()
    assert "/deployments/name/ci/none does not exist on the Prefect API (404)" in team.said[0]
