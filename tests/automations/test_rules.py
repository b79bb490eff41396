"""What the automations look at, as far as it needs no server."""

from uuid import uuid4

from deployments.prefect.automation_rules import MARK_LOST, RESTART_CRASHED, wanted

DEPLOYMENTS = {
    name: uuid4()
    for name in ("ci/commit", "release/nightly", "housekeeping/weekly", RESTART_CRASHED, MARK_LOST)
}


def test_the_runs_that_look_after_others_are_not_looked_after() -> None:
    """Else a late heartbeat of one starts another, and that one the next."""
    made = {automation.name: automation for automation in wanted(DEPLOYMENTS, 90, None)}
    for name in ("Slipway: run crashed", "Slipway: run lost"):
        related = made[name].trigger.model_dump()["match_related"]
        looked_at = set(related["prefect.resource.id"])
        assert looked_at == {
            f"prefect.deployment.{DEPLOYMENTS[each]}"
            for each in ("ci/commit", "release/nightly", "housekeeping/weekly")
        }
