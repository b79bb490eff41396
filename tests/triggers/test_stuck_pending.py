"""A run that a worker took, and that nothing began, as when the worker is killed in that moment."""

from flows.services.prefect.api import FlowRuns
from flows.services.prefect.client import FlowRun
from flows.triggers.stuck_pending import PendingReaper
from tests.support.prefect_client import asking
from tests.triggers.conftest import Team

PATIENCE = 120


def taken(team: Team) -> FlowRun:
    """A run that a worker took, of which there is none in truth."""
    team.has_a_work_pool()
    sha = team.commit()
    team.watch().look()
    run = team.only_run(sha)
    team.set_state(run, "PENDING")
    return run


def test_it_is_given_up_after_a_while_and_restarted(team: Team) -> None:
    run, now = taken(team), [0.0]
    not_begun = PendingReaper(team.said.append, lambda: now[0])
    with FlowRuns() as runs:
        for now[0] in (0, PATIENCE - 1):
            not_begun.give_up(runs, team.deployment, PATIENCE)
        assert team.api.flow_run(run.id).state == "PENDING"
        now[0] = PATIENCE + 1
        not_begun.give_up(runs, team.deployment, PATIENCE)
    assert team.api.flow_run(run.id).state == "CRASHED"
    assert any(line.startswith("Given up") and line.endswith(run.id) for line in team.said)
    team.watch().look()
    sha = run.parameters["ref"]
    assert [found.state for found in team.runs(sha)] == ["CRASHED", "SCHEDULED"]


def test_one_that_is_cancelled_while_its_process_starts_does_not_stay_so(team: Team) -> None:
    """The process finds the run cancelled and ends; no worker has anything left to cancel."""
    run, now = taken(team), [0.0]
    not_begun = PendingReaper(team.said.append, lambda: now[0])
    state = {"type": "CANCELLING", "name": "Cancelling", "message": "Overtaken by another."}
    with asking(team.api) as client:
        body = {"state": state, "force": True}
        client.post(f"/flow_runs/{run.id}/set_state", json=body).raise_for_status()
    with FlowRuns() as runs:
        not_begun.give_up(runs, team.deployment, PATIENCE)
        assert team.api.flow_run(run.id).state == "CANCELLING"
        now[0] = PATIENCE + 1
        not_begun.give_up(runs, team.deployment, PATIENCE)
    ended = team.api.flow_run(run.id)
    assert (ended.state, ended.message) == ("CANCELLED", "Overtaken by another.")


def test_one_that_began_in_the_meantime_and_waits_again_has_the_whole_time(team: Team) -> None:
    run, now = taken(team), [0.0]
    not_begun = PendingReaper(team.said.append, lambda: now[0])
    with FlowRuns() as runs:
        not_begun.give_up(runs, team.deployment, PATIENCE)
        team.set_state(run, "RUNNING")
        now[0] = PATIENCE - 1
        not_begun.give_up(runs, team.deployment, PATIENCE)
        team.set_state(run, "PENDING")
        now[0] = PATIENCE + 1
        not_begun.give_up(runs, team.deployment, PATIENCE)
    assert team.api.flow_run(run.id).state == "PENDING"
