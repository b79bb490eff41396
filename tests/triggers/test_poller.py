"""What is wanted and not built is found, whatever was lost; and what is in the way is told once."""

import uuid
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_azure import AzureBlobStorageCredentials

from flows.core.trigger.run_labels import TRIGGERED, branch_tag, commit_tag
from flows.services.git.repository import Repository
from flows.services.models.blob_store import BlobStore
from flows.services.prefect.api import PUSHING, FlowRuns
from flows.triggers.launcher import OVERTAKEN
from flows.triggers.webhooks import application
from tests.triggers.conftest import MODELS, NOWHERE, Sender, Team, deploy_without_a_worker


def test_a_commit_that_nobody_announced_is_built(team: Team) -> None:
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


def test_a_pinned_model_is_what_is_wanted(team: Team) -> None:
    sha, older = team.git("rev-parse", "HEAD"), team.models.newest(team.model)
    team.is_built(sha, team.publish("1.1.0", "colours"))
    team.models.pin(team.model, older.version, "a run")
    team.watch().look()
    assert f"model:{team.model} 1.0.0" in team.only_run(sha).tags


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


def test_a_version_with_the_same_weights_and_other_labels_is_built(team: Team) -> None:
    sha = team.commit()
    team.is_built(sha, team.models.newest(team.model))
    watch = team.watch()
    watch.look()
    team.publish("1.0.1")
    watch.look()
    assert f"model:{team.model} 1.0.1" in team.only_run(sha).tags


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


def test_a_run_for_an_older_commit_is_let_go_on_once_it_pushes(team: Team) -> None:
    watch = team.watch()
    watch.look()
    older = team.git("rev-parse", "HEAD")
    team.begins(team.only_run(older), PUSHING)
    newer = team.commit()
    watch.look()
    assert (team.only_run(older).state, team.only_run(newer).state) == ("SCHEDULED", "SCHEDULED")


def test_what_a_receiver_that_was_killed_did_not_cancel_is_cancelled(team: Team, sender: Sender) -> None:
    """The newer run is there already, so that nobody starts it once more."""
    older, newer = team.git("rev-parse", "HEAD"), team.commit()
    for sha in (newer, older):
        sender.github(sha, before="0" * 40)
    team.watch().look()
    assert (team.only_run(older).state, team.only_run(newer).state) == ("CANCELLED", "SCHEDULED")


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
    assert "What was in the way has passed." in team.said
    assert team.only_run(sha).state == "SCHEDULED"


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


def test_off_the_released_branch_a_new_model_cancels_no_run(team: Team) -> None:
    sha, watch = team.commit("feature/a"), team.watch()
    watch.look()
    team.publish("1.1.0", "colours")
    watch.look()
    assert team.only_run(sha, "feature/a").state == "SCHEDULED"


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


def test_a_run_of_what_is_wanted_again_is_started_anew_when_it_crashes(team: Team) -> None:
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


@pytest.mark.parametrize("branch", ["main", "feature/a"])
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


def test_what_crashed_is_started_anew_until_it_was_tried_three_times(team: Team) -> None:
    sha, watch = team.commit(), team.watch()
    for _ in range(4):
        watch.look()
        team.set_state(team.runs(sha)[-1], "CRASHED")
    assert [run.state for run in team.runs(sha)] == ["CRASHED", "CRASHED", "CRASHED"]


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
    assert "What was in the way has passed." in team.said


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


def test_a_released_branch_that_is_not_there_is_told_and_the_others_are_built(team: Team) -> None:
    sha = team.commit("feature/a")
    team.git("branch", "--quiet", "--delete", "--force", "main")
    team.watch().look()
    assert "has no branch main" in team.said[-1]
    team.only_run(sha, "feature/a")


def test_a_wrong_setting_is_told_and_does_not_end_the_watch(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = team.watch()
    monkeypatch.setenv("SLIPWAY_WATCH__DEPLOYMENT", "ci/none")
    watch.look()
    assert "/deployments/name/ci/none does not exist on the Prefect API (404)" in team.said[0]
