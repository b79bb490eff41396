"""What a commit and a model become, and when nothing is due."""

import os
from collections.abc import Iterator

import pytest

from flows.config import load as configuration
from flows.config.load import state_folder
from flows.core.build.image import parse
from flows.core.build.latest import BASE_DIGEST
from flows.core.trigger.run_labels import base_tag
from tests.flows.conftest import Line, new_line
from tests.support.platform_under_test import PlatformUnderTest


@pytest.fixture(scope="module")
def built(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line whose latest image is built, for tests that leave main and latest as they are."""
    with pytest.MonkeyPatch.context() as variables:
        line = new_line(platform, tmp_path_factory.mktemp("built") / "team", variables)
        assert line.ci().succeeded
        yield line


def test_a_commit_and_a_model_become_an_image_that_latest_names(line: Line) -> None:
    sha = line.git("rev-parse", "HEAD")
    run = line.ci()
    assert run.succeeded, run.message
    latest = line.latest
    assert latest is not None
    assert (latest.content.commit, latest.content.model.name, latest.content.model.version) == (
        sha,
        line.model,
        "1.0.0",
    )
    image = line.registry.image(latest.content.capsule)
    assert image.digest == latest.digest
    base = parse(configuration.load().app.base_image).reference
    assert latest.content.base_digest == line.registry.labels(image)[BASE_DIGEST] == base
    assert base_tag(base) in run.tags
    assert run.left_behind() == []
    assert run.transfers() == {f"fetch {line.model} 1.0.0": 100}
    assert f"{sha[:7]} + {line.model} 1.0.0: built, tested and pushed" in run.message
    assert run.name == f"{sha[:7]} + {line.model} 1.0.0 on main"
    verdict = f"# main: {sha[:7]} + {line.model} 1.0.0: built, tested and pushed"
    changed = "| changed | the first: there was none before |"
    for text in (sha[:7], latest.content.capsule, "| smoke test |", "1 passed", verdict, changed):
        assert text in run.artifacts()


def test_nothing_new_builds_nothing_and_limits_what_the_machine_keeps(
    built: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = built.latest
    unused = state_folder() / "cache" / "models" / "unused-model"
    unused.mkdir()
    (unused / "model.onnx").write_bytes(b"w" * 1001)
    os.utime(unused, times=(0, 0))
    monkeypatch.setenv("SLIPWAY_HOUSEKEEPING__MODELS", "0.000001")
    again = built.ci()
    assert not unused.exists()
    assert "nothing to build; latest stays: latest names this image already" in again.message
    assert "build image" not in again.tasks()
    assert built.latest == before


@pytest.mark.slow
def test_a_file_outside_the_context_is_no_new_image(line: Line) -> None:
    line.ci()
    before = line.latest
    (line.repository / "README.md").write_text("read me")
    line.git("add", "--all")
    line.git("commit", "--quiet", "--message", "Explain")
    again = line.ci()
    assert "nothing to build; latest moved" in again.message
    assert before is not None
    assert line.latest is not None
    assert line.latest.digest == before.digest
    assert line.latest.content.commit == line.git("rev-parse", "HEAD")


def test_a_new_model_alone_gives_a_new_image(line: Line) -> None:
    line.ci()
    first = line.latest
    line.publish("1.1.0", "colours")
    run = line.ci()
    assert "same code, model 1.0.0 → 1.1.0" in run.message
    assert "run tests" not in run.tasks()
    assert first is not None
    assert line.latest is not None
    assert line.latest.content.commit == first.content.commit
    assert line.latest.digest != first.digest


@pytest.mark.slow
def test_a_bad_model_is_taken_back_by_pinning_the_one_before_until_the_pin_is_lifted(line: Line) -> None:
    line.ci()
    line.publish("1.1.0", "colours")
    line.ci()
    pinned = line.ci(model="1.0.0")
    assert "latest moved: same code, model 1.1.0 → 1.0.0" in pinned.message
    line.publish("1.2.0", "colours")
    line.commit()
    assert f"{line.model} 1.0.0: built" in line.ci().message
    lifted = line.ci(model="newest")
    assert "model 1.0.0 → 1.2.0" in lifted.message


def test_commits_that_were_passed_over_are_listed_in_the_report(line: Line) -> None:
    first = line.git("rev-parse", "HEAD")
    passed, newest = line.commit("Passed over"), line.commit("Newest")
    report = line.ci(newest, branch="main", since=first).artifacts()
    (listed,) = {row for row in report.splitlines() if row.startswith("| passed over |")}
    assert f"{passed[:7]} Passed over (Ada)" in listed
    assert "Newest" not in listed


@pytest.mark.slow
def test_two_runs_that_end_in_the_wrong_order_leave_latest_at_the_newer_commit(line: Line) -> None:
    older = line.git("rev-parse", "HEAD")
    newer = line.commit()
    line.ci(newer)
    late = line.ci(older)
    assert late.succeeded
    assert f"latest stays: commit {older[:7]} is behind {newer[:7]}" in late.message
    assert line.latest is not None
    assert line.latest.content.commit == newer


@pytest.mark.slow
def test_a_revert_moves_latest_to_the_older_content_without_a_build(line: Line) -> None:
    line.ci()
    first = line.latest
    line.commit("A mistake")
    line.ci()
    line.git("revert", "--no-edit", "HEAD")
    reverted = line.ci()
    assert "nothing to build; latest moved" in reverted.message
    assert first is not None
    assert line.latest is not None
    assert (line.latest.digest, line.latest.content.commit) == (first.digest, line.git("rev-parse", "HEAD"))


@pytest.mark.slow
def test_after_a_force_push_an_older_commit_may_be_latest_again(line: Line) -> None:
    older = line.git("rev-parse", "HEAD")
    line.commit("Taken back")
    line.ci()
    line.git("reset", "--quiet", "--hard", older)
    run = line.ci()
    assert "is no longer on main" in run.message
    assert line.latest is not None
    assert line.latest.content.commit == older


def test_another_branch_is_built_and_leaves_latest_alone(built: Line) -> None:
    before = built.latest
    built.git("switch", "--quiet", "--create", "idea")
    built.commit("An idea")
    built.git("switch", "--quiet", "main")
    run = built.ci("idea")
    assert "built, tested and pushed; latest stays" in run.message
    assert "is not on the released branch main" in run.message
    assert built.latest == before


def test_a_merged_branch_is_tested_and_built_again_for_the_released_branch(line: Line) -> None:
    line.git("switch", "--quiet", "--create", "idea")
    sha = line.commit("An idea")
    line.git("switch", "--quiet", "main")
    assert "built, tested and pushed; latest stays" in line.ci("idea").message
    (tag,) = line.image_tags()
    assert tag.startswith("branch-")
    line.git("merge", "--quiet", "--ff-only", "idea")
    merged = line.ci()
    assert "built, tested and pushed; latest moved" in merged.message
    assert "run tests" in merged.tasks()
    latest = line.latest
    assert latest
    assert latest.content.commit == sha
    assert sorted(line.image_tags()) == sorted([tag, tag.removeprefix("branch-"), "latest"])
    assert latest.digest != line.registry.image(tag).digest
