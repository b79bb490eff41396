"""What the automations look at, as far as it needs no server."""

from uuid import uuid4

from deployments.prefect.automation_rules import MARK_LOST, RESTART_CRASHED, Target, wanted

DEPLOYMENTS = {
    name: uuid4()
    for name in ("ci/commit", "release/nightly", "housekeeping/daily", RESTART_CRASHED, MARK_LOST)
}


def test_the_runs_that_look_after_others_are_not_looked_after() -> None:
    """Else a late heartbeat of one starts another, and that one the next."""
    made = {automation.name: automation for automation in wanted(DEPLOYMENTS, 90, None)}
    for name in ("Slipway: run crashed", "Slipway: run lost"):
        related = made[name].trigger.model_dump()["match_related"]
        looked_at = set(related["prefect.resource.id"])
        assert looked_at == {
            f"prefect.deployment.{DEPLOYMENTS[each]}"
            for each in ("ci/commit", "release/nightly", "housekeeping/daily")
        }


def test_a_system_that_was_away_is_reported_to_operations_and_of_ci_alone() -> None:
    made = {one.name: one for one in wanted(DEPLOYMENTS, 90, Target("slack-webhook", uuid4()))}
    trigger = made["Slipway: CI waits"].trigger.model_dump()
    assert trigger["expect"] == {"prefect.flow-run.Unavailable"}
    assert trigger["match_related"]["prefect.resource.id"] == [
        f"prefect.deployment.{DEPLOYMENTS['ci/commit']}"
    ]
    [action] = [action.model_dump() for action in made["Slipway: CI waits"].actions]
    assert "Next step: Operations" in action["body"]


def test_of_runs_that_found_a_system_away_the_nights_alone_are_restarted() -> None:
    made = {one.name: one for one in wanted(DEPLOYMENTS, 90, None)}
    trigger = made["Slipway: night unavailable"].trigger.model_dump()
    assert trigger["expect"] == {"prefect.flow-run.Unavailable"}
    night = f"prefect.deployment.{DEPLOYMENTS['release/nightly']}"
    assert trigger["match_related"]["prefect.resource.id"] == [night]
