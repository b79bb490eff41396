"""Everything that can be wrong with a release: it is undone whole, and says whose move it is."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployments.local.docker.engine import connect
from flows.core.build.latest import LatestPointer
from flows.services.kubernetes.rollout_watch import AWAY
from flows.services.prefect.client import FlowRun
from tests.flows.conftest import Line
from tests.flows.environments import Place, behaving, container, manifests_with, without_api_server
from tests.flows.lines import line_with_image
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.rows import rest_slow
from tests.support.waiting import wait_until

STAGING = Place("staging")
OUTAGE = 120


@dataclass(frozen=True)
class Staged:
    """A line with one good release in staging, and another good image to release next."""

    line: Line
    live: LatestPointer
    next: LatestPointer


@pytest.fixture(scope="module")
def staged(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Staged]:
    with line_with_image(platform, tmp_path_factory.mktemp("staged"), STAGING) as line:
        live = line.latest
        first = line.release()
        assert first.succeeded, first.message
        assert live
        yield Staged(line, live, line.mint())


@pytest.fixture
def vary() -> Iterator[Any]:
    """Has the next release take the project's manifests with changes, in the line's repository."""
    changed: set[Path] = set()

    def vary(*operations: dict[str, Any], also: dict[str, Any] | None = None) -> None:
        changed.add(folder := Path(os.environ["SLIPWAY_MANIFESTS__REPOSITORY"]).parent)
        manifests_with(folder, *operations, also=also)

    yield vary
    for folder in changed:
        manifests_with(folder)


def forced(staged: Staged, image: str | None = None) -> Any:
    """A release whatever failed here before: images are shared by the tests of this file."""
    return staged.line.release(image or staged.next.digest, force=True, reason="a test", by="Ada")


def assert_undone(staged: Staged, verdict: str) -> None:
    """What was live before is live again, and good; the failed release has its verdict."""
    assert STAGING.version()["capsule"] == staged.live.content.capsule
    history = STAGING.history()
    assert history[0].verdict == verdict
    live = next(record for record in history if record.verdict == "deployed")
    assert live.image.digest == staged.live.digest
    assert len(STAGING.pods()) == 3


IMAGE, ELSEWHERE = "failed", "rolled_back"
CASES: dict[str, tuple[tuple[dict[str, Any], ...], str, str]] = {
    "by its image": ((behaving("dies"),), "keeps crashing (exit code 1", IMAGE),
    "by its manifests": (
        container(resources={"requests": {"memory": "6Mi"}, "limits": {"memory": "8Mi"}}),
        "OOMKilled",
        ELSEWHERE,
    ),
}
"""Every other fault is found by the same stages: tests/stages/test_faults.py."""


ROWS = [
    pytest.param(*CASES["by its image"], id="by its image"),
    pytest.param(*CASES["by its manifests"], id="by its manifests", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("changes", "reason", "verdict"), ROWS)
def test_a_release_that_fails_is_undone_whole(
    staged: Staged, vary: Any, changes: tuple[dict[str, Any], ...], reason: str, verdict: str
) -> None:
    vary(*changes)
    run = forced(staged)
    assert not run.succeeded
    assert reason in run.message
    assert "Undone: release" in run.message
    assert "is in force again" in run.message
    assert_undone(staged, verdict)
    if verdict == IMAGE:
        mark = STAGING.notes().mark_of(staged.next.digest)
        assert mark is not None
        assert reason in mark.reason


@pytest.mark.slow
def test_an_undo_gives_back_what_the_release_found(staged: Staged, vary: Any) -> None:
    STAGING.kubectl("create", "configmap", "settings", "--from-literal=word=by hand")
    taken = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    vary(behaving("dies"), also={**taken, "data": {"word": "by hand", "more": "of the release"}})
    try:
        run = forced(staged)
        assert "is in force again" in run.message
        found = json.loads(STAGING.kubectl("get", "configmap", "settings", "--output=json"))
        assert found["data"] == {"word": "by hand"}
        assert_undone(staged, IMAGE)
    finally:
        STAGING.kubectl("delete", "configmap", "settings")


@pytest.mark.slow
def test_one_replica_of_three_that_answers_wrong_is_found(staged: Staged, vary: Any) -> None:
    vary(behaving("waits for its role"))
    before = set(STAGING.pods())
    new: list[str] = []

    def are_three() -> bool:
        new[:] = [pod for pod in STAGING.pods("Running") if pod not in before]
        return len(new) == 3

    run = staged.line.start_release(staged.next.digest)
    wait_until(are_three, "there are not three new pods")
    for role, pod in zip(("right", "wrong", "right"), new, strict=True):
        STAGING.kubectl("exec", pod, "--", "touch", f"/tmp/{role}")
    ended = staged.line.platform.wait(run)
    assert ended.state == "FAILED"
    assert "answers the model's examples wrong" in ended.message
    assert_undone(staged, IMAGE)


def test_manifests_that_dont_render_change_nothing(staged: Staged, vary: Any) -> None:
    count = len(STAGING.history())
    vary({"op": "replace", "path": "/spec/nowhere/at/all", "value": 1})
    run = forced(staged)
    assert "kustomize could not render" in run.message
    assert len(STAGING.history()) == count


def cluster_role() -> dict[str, Any]:
    """Of a kind that the account which releases may not see."""
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all"}}


def unknown_kind() -> dict[str, Any]:
    return {"apiVersion": "example.org/v1", "kind": "Wish", "metadata": {"name": "a-wish"}}


@pytest.mark.parametrize(
    ("added", "reason"),
    [
        (cluster_role, "may not manage ClusterRole all. A release may hold: ConfigMap, CronJob, "),
        (unknown_kind, "knows no kind 'Wish' of example.org/v1"),
    ],
)
def test_an_object_that_is_not_the_teams_to_create_changes_nothing(
    staged: Staged, vary: Any, added: Callable[[], dict[str, Any]], reason: str
) -> None:
    count = len(STAGING.history())
    vary(also=added())
    run = forced(staged)
    assert not run.succeeded
    assert reason in run.message
    assert len(STAGING.history()) == count
    assert STAGING.holder() == ""


def test_a_manifest_that_the_server_refuses_changes_nothing(staged: Staged, vary: Any) -> None:
    count, pods = len(STAGING.history()), STAGING.pods()
    vary(*container(ports=[{"name": "http", "containerPort": 99999}]))
    run = forced(staged)
    assert not run.succeeded
    assert "does not accept the manifests" in run.message
    assert len(STAGING.history()) == count
    assert STAGING.pods() == pods


def test_a_sidecar_that_settings_do_not_list_changes_nothing_and_the_key_for_it_is_named(
    staged: Staged, vary: Any
) -> None:
    count, pods = len(STAGING.history()), STAGING.pods()
    sidecar = {"name": "proxy", "image": "mcr.microsoft.com/dapr/daprd:1.14.4"}
    vary({"op": "add", "path": "/spec/template/spec/containers/-", "value": sidecar})
    run = forced(staged)
    assert not run.succeeded
    assert "[environments.staging] allowed_images: mcr.microsoft.com/dapr/daprd:1.14.4" in run.message
    assert len(STAGING.history()) == count
    assert STAGING.pods() == pods


def test_a_field_that_a_person_has_set_by_hand_is_not_overwritten(staged: Staged) -> None:
    count, before = len(STAGING.history()), history_limit()
    set_history_limit(before + 2)
    run = forced(staged)
    assert not run.succeeded
    assert "Field conflict: " in run.message
    assert len(STAGING.history()) == count
    assert history_limit() == before + 2
    set_history_limit(before)  # as the manifests have it, there is no quarrel


@pytest.mark.slow
def test_undoing_sets_back_what_a_person_has_set_during_the_release(
    staged: Staged, vary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = history_limit()
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__ROLLOUT_TIMEOUT", "12")
    vary(behaving("never ready"))
    run = staged.line.start_release(staged.next.digest)
    wait_until(lambda: STAGING.is_rolling_out(run.id), "the rollout has not begun")
    set_history_limit(before + 2)
    ended = staged.line.platform.wait(run)
    assert "is in force again" in ended.message
    assert history_limit() == before
    assert_undone(staged, IMAGE)


def set_history_limit(count: int) -> None:
    """As a person does, by hand, behind the pipeline's back."""
    changes = json.dumps({"spec": {"revisionHistoryLimit": count}})
    STAGING.kubectl("patch", "deployment", "classifier", f"--patch={changes}")


def history_limit() -> int:
    return int(
        STAGING.kubectl("get", "deployment/classifier", "--output=jsonpath={.spec.revisionHistoryLimit}")
    )


def test_a_name_that_leads_elsewhere_keeps_the_release_from_starting(
    staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(STAGING.history())
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__LOAD_BALANCER", '["127.0.0.9"]')
    run = forced(staged)
    assert not run.succeeded
    assert "127.0.0.9" in run.message
    assert len(STAGING.history()) == count


@pytest.mark.exclusive
def test_an_edge_that_is_down_keeps_the_release_from_starting(staged: Staged) -> None:
    count = len(STAGING.history())
    edge = connect().containers.get(staged.line.platform.instance.container("edge"))
    edge.stop(timeout=1)
    try:
        run = forced(staged)
    finally:
        edge.start()
    assert not run.succeeded
    assert len(STAGING.history()) == count
    wait_until(STAGING.answers, "the edge does not answer again")


def is_waited_for(staged: Staged, run: FlowRun) -> None:
    """An outage that ends once the run has noticed it: a request has timed out, and the next one hangs."""
    wait_until(lambda: AWAY in staged.line.platform.log(run), "the run does not notice")


def is_long(_staged: Staged, _run: FlowRun) -> None:
    """An outage as long as a control plane takes to be replaced."""
    time.sleep(OUTAGE)


@pytest.mark.exclusive
@pytest.mark.parametrize("outage", rest_slow([is_waited_for, is_long], 0), ids=["short", "two minutes"])
def test_an_api_server_that_is_away_delays_a_release(
    staged: Staged, monkeypatch: pytest.MonkeyPatch, outage: Callable[[Staged, FlowRun], None]
) -> None:
    if outage is is_waited_for:
        monkeypatch.setenv("SLIPWAY_RUNS__API_TIMEOUT", "3")
    run = staged.line.start_release(staged.next.digest)
    wait_until(lambda: STAGING.is_rolling_out(run.id), "the rollout has not begun")
    with without_api_server(staged.line.platform):
        outage(staged, run)
    assert AWAY in staged.line.platform.log(run)
    ended = staged.line.platform.wait(run)
    assert ended.state == "COMPLETED", ended.message
    assert STAGING.version()["capsule"] == staged.next.content.capsule
    back = staged.line.release(staged.live.digest, force=True, reason="as before")
    assert back.succeeded, back.message


def test_a_first_release_that_fails_leaves_the_environment_as_empty_as_before(staged: Staged) -> None:
    place = Place("production")
    place.empty()
    bad = staged.line.mint(BEHAVIOUR="dies")
    run = staged.line.release(bad.digest, environment="production", force=True, reason="a test")
    assert not run.succeeded
    assert "as empty as it was before" in run.message
    assert place.objects() == set()
    assert place.pods() == []
    assert place.verdicts() == ["failed"]


@pytest.mark.slow
def test_a_bad_image_is_not_brought_back_and_its_configuration_is_gone_with_it(line: Line, vary: Any) -> None:
    STAGING.empty()
    line.mint()
    assert line.release().succeeded
    line.mint(BEHAVIOUR="answers wrong")
    words = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"word": "new"}}
    vary({"op": "add", "path": "/metadata/annotations", "value": {"team": "b"}}, also=words)
    failed = line.release()
    assert not failed.succeeded
    assert "Deleted ConfigMap words." in failed.log()
    assert STAGING.kubectl("get", "configmap", "words", "--ignore-not-found") == ""
    deployment = json.loads(STAGING.kubectl("get", "deployment", "classifier", "--output=json"))
    assert "team" not in deployment["metadata"]["annotations"]
    night = line.release()
    assert night.succeeded
    assert "is quarantined here" in night.message
    assert STAGING.verdicts() == ["failed", "deployed"]
