"""The duel of a run of ci: a worse image does not become `latest`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.variables import Variable

from flows.config import load as configuration
from flows.core.duel.golden_set import LEAST
from flows.core.duel.live import LiveImage, variable_of
from flows.credentials import prefect_blocks
from flows.publish_evaluation import publish_evaluation
from flows.services.models.duel_reports import DuelReports
from tests.flows.conftest import Ended, Line, new_line
from tests.services.golden_sets import LABELS
from tests.support.platform_under_test import PlatformUnderTest


@pytest.fixture(scope="module")
def dueling(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line with a golden set and a good latest image; nothing is live in its last environment."""
    folder = tmp_path_factory.mktemp("dueling")
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("SLIPWAY_ENVIRONMENTS", json.dumps(apart(folder.name)))
        variables.setenv("SLIPWAY_DUEL__LATENCY_MARGIN", "100")  # the machine has other work, too
        line = new_line(platform, folder / "team", variables)
        published = publish(line, folder / "golden", "1", 200)
        assert published.succeeded, published.message
        assert published.message == f"golden set {line.model} 1 published; it is the newest now."
        first = line.ci()
        assert first.succeeded, first.message
        assert "none: nothing was released, and latest names no image" in row(first, "duel")
        yield line


def apart(name: str) -> dict[str, object]:
    """One more environment after the others, so that what others release is none of this line's business."""
    return {
        "duel-tests": {
            "context": "embedded",
            "credentials": "slipway-production",
            "namespace": name.lower().replace("_", "-"),
            "overlay": "production",
            "public_url": "http://duel.slipway.test:8080",
        }
    }


def publish(line: Line, folder: Path, version: str, examples: int = LEAST) -> Ended:
    """Publish inputs that name their own label; the app of the tests reads it, unless it is to do worse."""
    folder.mkdir()
    named = []
    for number in range(examples):
        (folder / f"{number}.txt").write_text(f"{LABELS[number % 10]} {number}")
        named.append({"input": f"{number}.txt", "class_index": number % 10})
    content = {"schema": 1, "description": version, "labels": LABELS, "examples": named}
    (folder / "manifest.json").write_text(json.dumps(content))
    state = publish_evaluation(folder, line.model, version, return_state=True)
    return Ended(line.platform, state)


def row(run: Ended, name: str) -> str:
    """The row of that name in the report of ci."""
    found = [line for line in run.artifacts().splitlines() if line.startswith(f"| {name} |")]
    assert found, run.artifacts()
    return found[0].replace("\\", "")


def reports() -> DuelReports:
    storage = prefect_blocks.results_storage(configuration.load().results)
    assert storage
    return DuelReports(*storage)


@pytest.mark.slow
def test_an_equal_image_becomes_latest_and_the_report_shows_the_duel(dueling: Line) -> None:
    before = dueling.latest
    sha = dueling.commit("As good")
    run = dueling.ci()
    assert "built, tested and pushed; latest moved" in run.message
    assert "not worse: 100.0 % right instead of 100.0 %, 0 lost and 0 won of 200" in row(run, "duel")
    assert before
    assert f"{before.content.commit[:7]} + {dueling.model} 1.0.0, latest" in row(run, "duel")
    assert "# The duel: not worse" in run.artifacts()
    assert dueling.latest
    assert dueling.latest.content.commit == sha
    page = reports().find(run.id)
    assert page
    assert b"<h1>The duel: not worse</h1>" in page
    assert run.left_behind() == []


def test_a_worse_image_is_pushed_and_does_not_become_latest_until_a_person_forces_it(dueling: Line) -> None:
    before = dueling.latest
    sha = dueling.commit("Worse", golden="worse")
    refused = dueling.ci()
    assert refused.succeeded
    assert "built, tested and pushed; latest stays: the duel found it worse: 75.0 % right" in refused.message
    assert dueling.latest == before
    assert "| latest | stays because of the verdict |" in refused.artifacts()

    again = dueling.ci()
    assert "nothing to build; latest stays: the duel found it worse" in again.message

    forced = dueling.ci(force="the old one has a licence problem")
    assert "nothing to build; latest moved" in forced.message
    assert "although the duel found it worse: the old one has a licence problem" in row(forced, "forced")
    assert dueling.latest
    assert dueling.latest.content.commit == sha

    dueling.commit("Good again")
    better = dueling.ci()
    assert "latest moved" in better.message
    assert "better: 100.0 % right instead of 75.0 %, 0 lost and 50 won" in row(better, "duel")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("golden", "message"),
    [
        ("crashes", "In the duel, the candidate stopped answering"),
        ("answers NaN", "finite number"),
    ],
)
def test_a_candidate_that_fails_in_the_duel_fails_the_run_and_latest_stays(
    dueling: Line, golden: str, message: str
) -> None:
    before = dueling.latest
    dueling.commit(f"It {golden}", golden=golden)
    run = dueling.ci()
    assert run.state.is_failed()
    assert message in run.message
    assert "`latest` stays as it is" in str(run.error)
    assert dueling.latest == before
    assert run.left_behind() == []
    dueling.git("reset", "--quiet", "--hard", "HEAD~1")


@pytest.mark.slow
def test_a_slower_image_does_not_become_latest(dueling: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dueling.latest
    monkeypatch.setenv("SLIPWAY_DUEL__LATENCY_MARGIN", "1.15")
    dueling.commit("Slower", golden="is slow")
    run = dueling.ci()
    assert "latest stays: the duel found it slower: 100.0 % right" in run.message
    assert "more slowly than what is live" in run.artifacts()
    assert dueling.latest == before
    dueling.git("reset", "--quiet", "--hard", "HEAD~1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"BEHAVIOUR": "dies"}, "none: what is latest can't be asked: The container ended by itself"),
        ({"GOLDEN": "crashes"}, "none: what is latest stopped answering"),
    ],
)
def test_where_what_is_live_fails_there_is_no_duel_and_the_candidate_goes_on(
    dueling: Line, variables: dict[str, str], reason: str
) -> None:
    dueling.mint(**variables)
    sha = dueling.commit("Good")
    run = dueling.ci()
    assert "latest moved" in run.message
    assert reason in row(run, "duel")
    assert dueling.latest
    assert dueling.latest.content.commit == sha
    assert run.left_behind() == []


@pytest.mark.slow
def test_another_branch_is_compared_where_a_person_names_the_other_image(dueling: Line) -> None:
    assert dueling.latest
    dueling.git("switch", "--quiet", "--create", "idea")
    dueling.commit("Worse", golden="worse")
    dueling.git("switch", "--quiet", "main")
    alone = dueling.ci("idea")
    assert "| duel |" not in alone.artifacts()
    compared = dueling.ci("idea", against=dueling.latest.content.capsule)
    assert "worse: 75.0 % right" in row(compared, "duel")
    assert "which was asked for" in row(compared, "duel")
    assert "is not on the released branch" in compared.message


@pytest.mark.slow
def test_what_is_live_counts_before_latest_and_another_golden_set_is_named(
    dueling: Line, tmp_path: Path
) -> None:
    live = dueling.latest
    assert live
    name = variable_of("duel-tests")
    Variable.set(name, LiveImage(live.digest, live.content.capsule).to_json(), overwrite=True)
    try:
        assert publish(dueling, tmp_path / "golden", "2").succeeded
        dueling.commit("A change")
        run = dueling.ci()
        assert "live in duel-tests" in row(run, "duel")
        assert "The golden set is another one than in the duel before" in run.artifacts()
        gone = LiveImage("sha256:" + "0" * 64, live.content.capsule)
        Variable.set(name, gone.to_json(), overwrite=True)
        dueling.commit("Another change")
        missing = dueling.ci()
        assert "latest moved" in missing.message
        assert "none: what is live in duel-tests can't be asked" in row(missing, "duel")
    finally:
        Variable.unset(name)
