"""From staging to production: promotion, approval, rollback, holds, and a later proof."""

import json
from collections.abc import Iterator

import pytest

from flows.core.explain.live import explain
from flows.explain.ask import status
from flows.hold import hold, resume
from flows.release import release
from flows.rollback import rollback
from flows.services.kubernetes.account import ACCOUNT
from flows.services.prefect.client import FlowRun
from flows.verify import verify
from tests.flows.approvals import answer, await_pause, paused
from tests.flows.conftest import Ended, Line
from tests.flows.environments import Place, behaving
from tests.flows.lines import line_with_image
from tests.support.nights import a_night, ended
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.prefect_client import asking
from tests.support.retry import retry
from tests.support.waiting import wait_until

STAGING, PRODUCTION = Place("staging"), Place("production")
APPROVAL = "SLIPWAY_ENVIRONMENTS__PRODUCTION__APPROVAL"
BY_NIGHT = {"environment": "every", "image": "latest", "reason": "nightly"}


@pytest.fixture(scope="module")
def line(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line whose first image went all the way."""
    with line_with_image(platform, tmp_path_factory.mktemp("promotion"), STAGING, PRODUCTION) as made:
        first = made.release(environment="every")
        assert first.succeeded, first.message
        yield made


def roll_back(line: Line, environment: str, **parameters: object) -> Ended:
    state = rollback(environment=environment, reason="a test", by="Ada", return_state=True, **parameters)
    return Ended(line.platform, state)


def night(line: Line) -> FlowRun:
    return line.platform.wait(line.start("release/nightly"))


def test_an_image_reaches_production_through_staging_and_only_as_good_there(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = line.mint()
    run = line.release(environment="every")
    assert run.succeeded, run.message
    assert "staging runs" in run.message
    assert "production runs" in run.message
    assert STAGING.version()["capsule"] == PRODUCTION.version()["capsule"] == first.content.capsule
    page = run.artifacts()
    assert "staging: proof" in page
    assert "production: proof" in page
    content = f"{first.content.commit[:7]} + {line.model} 1.0.0"
    assert run.name == f"staging, production ← {content}"
    assert run.tags == {
        *("environment:staging", "environment:production"),
        *(f"commit:{first.content.commit[:12]}", f"model:{line.model} 1.0.0"),
        *(f"to:staging {content}", f"to:production {content}"),
    }
    assert f"# production runs {content} as release" in page
    assert "| production: changed | new code" in page

    second = line.mint()
    skipped = line.release(environment="production")
    assert skipped.state.name == "Skipped"
    assert "was not released to staging yet" in skipped.message
    with monkeypatch.context() as variables:
        variables.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__BAKE", "60")
        run = line.release(environment="every")
    assert run.succeeded, run.message
    assert "nothing is good in staging yet, for long enough" in run.message
    assert STAGING.version()["capsule"] == second.content.capsule
    assert PRODUCTION.version()["capsule"] == first.content.capsule

    good = STAGING.history()[0]
    line.mint(BEHAVIOUR="answers wrong")
    run = line.release(environment="every")
    assert not run.succeeded
    assert "answers the model's examples wrong" in run.message
    assert f"# staging runs {good.content} as release {good.number}" in (page := run.artifacts())
    assert "| failed, " in page
    assert PRODUCTION.version()["capsule"] == second.content.capsule


@pytest.mark.slow
def test_a_commit_of_another_branch_may_be_in_staging_and_never_gets_to_production(line: Line) -> None:
    before = PRODUCTION.version()["capsule"]
    line.git("checkout", "--quiet", "-b", "feature")
    other = line.mint()
    line.git("checkout", "--quiet", "main")
    assert line.release(other.digest).succeeded
    assert STAGING.version()["capsule"] == other.content.capsule
    skipped = line.release(other.digest, environment="production")
    assert skipped.state.name == "Skipped"
    assert "is not on main, and production takes only commits of that branch" in skipped.message
    forced = line.release(other.digest, environment="production", force=True, reason="a test")
    assert not forced.succeeded
    assert "is not on main" in forced.message
    everywhere = line.release(other.digest, environment="every")
    assert everywhere.succeeded, everywhere.message
    assert PRODUCTION.version()["capsule"] == before


def form_of(line: Line, run: FlowRun) -> str:
    """What the form shows to the person who fills it in."""
    query = {"prefix": "paused", "limit": 10}
    with asking(line.platform.api) as client:
        answer = client.post(f"/flow_runs/{run.id}/input/filter", json=query)
    return "\n".join(entry["value"] for entry in answer.raise_for_status().json())


@pytest.mark.slow
def test_a_release_waits_for_approval_which_a_person_refuses_gives_or_forgets(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(APPROVAL, "true")
    hold(environment="staging", reason="a demo", by="Ada")
    wanted = line.mint()
    run = line.release(by="Bob")
    assert run.succeeded, run.message
    assert STAGING.notes().hold is None  # a person's release of something newer lifts it
    before = PRODUCTION.version()["capsule"]

    first = paused(line, environment="production")
    assert PRODUCTION.holder() == ""
    wait_until(lambda: "asked by" in form_of(line, first), "the form says nothing")
    form = form_of(line, first)
    assert "A change" in form
    assert "asked by: Ada, because: title" in form
    refused = answer(line, first, approve=False, name="Bob", comment="not on a Friday")
    assert (refused.state, refused.state_name) == ("COMPLETED", "Refused")
    assert "refused by Bob: not on a Friday" in refused.message

    retry(line.platform, first)
    await_pause(line, first)
    assert answer(line, first, approve=False, name="Bob", comment="nor now").state_name == "Refused"

    with monkeypatch.context() as variables:
        variables.setenv("SLIPWAY_ENVIRONMENTS__PRODUCTION__APPROVAL_TIMEOUT", "6")
        forgotten = line.platform.wait(paused(line, environment="production"))
    assert (forgotten.state, forgotten.state_name) == ("COMPLETED", "ApprovalTimedOut")
    assert "approval timed out" in forgotten.message
    assert PRODUCTION.version()["capsule"] == before

    hours_later = paused(line, environment="production")
    account = ("serviceaccount", ACCOUNT)  # of the one that is gone, the API server takes no token any more
    PRODUCTION.kubectl("delete", *account)
    PRODUCTION.kubectl("create", *account)
    approved = answer(line, hours_later, approve=True, name="Bob", comment="fine")
    assert (approved.state, approved.state_name) == ("COMPLETED", "Completed")
    assert PRODUCTION.version()["capsule"] == wanted.content.capsule


@pytest.mark.slow
def test_a_rollback_is_sticky_until_a_person_lifts_it_and_the_night_releases(line: Line) -> None:
    newest = line.mint()
    assert line.release(environment="every").succeeded
    before = next(r for r in PRODUCTION.history() if r.verdict == "superseded")
    assert "There is nothing newer" in why("production")
    refused = roll_back(line, "production", release=999)
    assert not refused.succeeded
    assert "Release 999 was never good here" in refused.message
    assert "Name one of the good releases before the live one" in refused.message
    run = roll_back(line, "production")
    assert run.succeeded, run.message
    assert run.name == f"production ← {before.content} (back to release {before.number})"
    assert PRODUCTION.version()["capsule"] == before.content.capsule
    assert PRODUCTION.verdicts()[:2] == ["deployed", "rolled_back"]
    held = night(line)
    assert held.state == "COMPLETED"
    assert "rollback to" in held.message
    assert PRODUCTION.version()["capsule"] == before.content.capsule
    explained = why("production")
    assert f"production runs {before.content}, as release" in explained
    assert "Asked for by Ada: rollback to release" in explained
    assert f"{newest.content} (good in staging): production is held since" in explained
    lifted = resume(environment="production", by="Ada", return_state=True)
    assert lifted.message == "production is no longer held."
    with a_night(line.platform.api, "release", 1) as nights:
        older, last = nights.made(days=2)
        assert ended(release, last, BY_NIGHT)[0] == "Completed"
        assert ended(release, older, BY_NIGHT)[0] == "Skipped"
        assert nights.row()["outcome"] == "released"
        assert "production runs" in nights.row()["why"]
    assert PRODUCTION.version()["capsule"] == newest.content.capsule


def test_why_names_the_failing_commit_that_is_newer_than_all_that_is_built(line: Line) -> None:
    sha = line.commit(tests="fail")
    run = line.ci()
    assert not run.succeeded
    explained = why("production")
    assert f"{sha[:7]} + {line.model} 1.0.0 (newest, new code" in explained
    assert f"its run of ci failed: {run.message.rstrip('.')}. " in explained
    assert f"/runs/flow-run/{run.id}" in explained
    line.git("reset", "--hard", "--quiet", "HEAD~1")


@pytest.mark.slow
def test_what_fails_a_later_proof_is_not_promoted_until_it_passes_again(line: Line) -> None:
    wanted = line.mint()
    assert line.release().succeeded
    patch = json.dumps([behaving("answers wrong")])
    STAGING.kubectl("patch", "deployment", "classifier", "--type=json", "--patch", patch)
    STAGING.kubectl("rollout", "status", "deployment/classifier", "--timeout=60s")
    wait_until(lambda: len(STAGING.pods()) == 3, "old pods are left")
    failed = Ended(line.platform, verify(environment="every", return_state=True))
    assert not failed.succeeded
    assert "answers the model's examples wrong" in failed.message
    assert [bool(place.history()[0].degraded) for place in (STAGING, PRODUCTION)] == [True, False]
    assert f"| production | {PRODUCTION.history()[0]} is good: " in failed.artifacts()
    assert f"| degraded | {STAGING.history()[0].degraded} |" in line.history_page("staging")
    promotion = line.release(wanted.digest, environment="production")
    assert "is not good in staging: " in promotion.message
    STAGING.kubectl("rollout", "undo", "deployment/classifier")
    STAGING.kubectl("rollout", "status", "deployment/classifier", "--timeout=60s")
    wait_until(lambda: len(STAGING.pods()) == 3, "old pods are left")
    STAGING.kubectl("delete", "pods", "--all", "--wait=false")  # as by an eviction: others come at once
    passed = Ended(line.platform, verify(environment="staging", return_state=True))
    assert passed.succeeded, passed.message
    assert "degraded" not in line.history_page("staging")
    after = line.release(wanted.digest, environment="production")
    assert "production runs" in after.message


def why(environment: str) -> str:
    return "\n".join(explain(status(environment)))
