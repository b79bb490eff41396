"""What `slipway why` finds where not all systems are there."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.core.explain.live import explain
from flows.core.release.decision import Candidate
from flows.core.trigger.run_labels import commit_tag, environment_tag, model_tag, to_tag
from flows.credentials import prefect_blocks
from flows.explain.ask import status
from flows.explain.collect import StatusCollector
from flows.services.models.transfer import no_progress
from flows.services.prefect.api import FlowRuns
from flows.services.process.command import silent
from flows.stages.context import opened
from tests.core.releases import candidate
from tests.triggers.conftest import Team


def test_a_commit_is_followed_from_its_run_to_its_failure(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__CREDENTIALS", f"{team.model}-none")
    sha = team.git("rev-parse", "HEAD")
    newest = f"{sha[:7]} + {team.model} 1.0.0 (newest): "
    assert f"{newest}it is not built, and no run of ci was started for it yet" in answer("staging")
    team.watch().look()
    run = team.only_run(sha)
    assert f"{newest}its run of ci waits for its turn. " in answer("staging")
    team.set_state(run, "FAILED")
    text = answer("staging")
    assert f"{newest}its run of ci failed: a test says so. " in text
    assert f"/runs/flow-run/{run.id}" in text
    assert "What is live in staging is not known." in text
    assert "the cluster of staging could not be asked: " in text


def of_model(one: Candidate, name: str) -> Candidate:
    return replace(one, content=replace(one.content, model=replace(one.content.model, name=name)))


def test_a_run_through_all_environments_counts_for_what_it_brings_to_each_and_where_it_is(team: Team) -> None:
    older, newer = (of_model(candidate(letter), team.model) for letter in "ab")
    everything = [environment_tag("staging"), environment_tag("production")]
    for one in (older, newer):
        everything += [commit_tag(one.content.commit), model_tag(team.model, one.content.model.version)]
    everything += [to_tag("staging", str(newer)), to_tag("production", str(older))]
    with FlowRuns() as runs, opened("why", silent, no_progress, prefect_blocks) as run:
        asking = StatusCollector(run, runs, datetime.now(UTC))
        made_run, _ = runs.create(team.deployment, f"{team.model}-every", {}, everything, "every")

        def states(environment: str) -> dict[str, str]:
            return {name: one.state for name, one in asking.releases(environment, [older, newer]).items()}

        team.set_state(made_run, "PAUSED")
        assert states("production") == {str(older): "PAUSED"}
        assert states("staging") == {}
        team.set_state(made_run, "FAILED")
        assert states("staging") == {str(newer): "FAILED"}


def test_with_prefect_away_it_is_named_and_the_repository_still_answers(team: Team) -> None:
    sha = team.git("rev-parse", "HEAD")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        text = answer("production")
    for system in ("Prefect", "the model store"):
        assert f"{system} could not be asked: Prefect's server does not answer" in text
    assert "the registry could not be asked: " in text
    assert f"{sha[:7]} + " in text


def answer(environment: str) -> str:
    return "\n".join(explain(status(environment)))
