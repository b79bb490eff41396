"""Images of two halves: what a run of ci builds, pushes, tests and moves, and what it does not."""

import pytest

from flows.core.build.capsule import half_of
from tests.flows.conftest import Line


def halves(line: Line) -> set[str]:
    """The tags of halves in the registry."""
    return {tag for tag in line.tags() if half_of(tag)}


def test_a_commit_and_a_model_become_two_halves_and_an_image_of_both(line_of_halves: Line) -> None:
    line = line_of_halves
    run = line.ci()
    assert run.succeeded, run.message
    latest = line.latest
    assert latest
    image = line.registry.image(latest.content.capsule)
    assert image.digest == latest.digest
    labels = line.registry.labels(image)
    assert halves(line) == {f"code-{labels['dev.slipway.code']}", f"model-{labels['dev.slipway.model-half']}"}
    assert "built, tested and pushed; latest moved" in run.message
    assert run.transfers() == {f"fetch {line.model} 1.0.0": 100, f"push {line.model} 1.0.0": 100}
    for row in ("| code half |", "| model half |", "| tag image |", "1 passed"):
        assert row in run.artifacts()
    assert run.left_behind() == []


def test_a_new_model_alone_builds_and_tests_nothing(line_of_halves: Line) -> None:
    line = line_of_halves
    line.ci()
    first, before = line.latest, halves(line)
    line.publish("1.1.0", "colours")
    run = line.ci()
    assert "composed, tried out and pushed; latest moved: same code, model 1.0.0 → 1.1.0" in run.message
    assert not {"run tests", "look up tests", "build code half", "push code half"} & set(run.tasks())
    assert "smoke test" in run.tasks()
    assert "| built | no: composed with the code half that the registry had |" in run.artifacts()
    (new,) = halves(line) - before
    assert new.startswith("model-")
    assert first
    assert line.latest
    assert line.latest.digest != first.digest


@pytest.mark.slow
def test_a_new_commit_alone_moves_no_model(line_of_halves: Line) -> None:
    line = line_of_halves
    line.ci()
    before = halves(line)
    line.commit()
    run = line.ci()
    assert "built, tested and pushed; latest moved: new code" in run.message
    assert not {"fetch model", "push model half"} & set(run.tasks())
    (new,) = halves(line) - before
    assert new.startswith("code-")


@pytest.mark.slow
def test_an_image_whose_trial_fails_has_no_tag(line_of_halves: Line) -> None:
    line = line_of_halves
    line.commit(app="answers wrong")
    run = line.ci()
    assert not run.succeeded
    assert "answers the model's examples wrong" in run.message
    assert set(line.tags()) == halves(line)
    assert line.latest is None


@pytest.mark.slow
def test_the_released_branch_takes_no_code_half_of_another_branch(line_of_halves: Line) -> None:
    line = line_of_halves
    line.git("switch", "--quiet", "--create", "idea")
    line.commit("An idea")
    line.git("switch", "--quiet", "main")
    assert line.ci("idea").succeeded
    (of_branch,) = {tag for tag in halves(line) if "code-" in tag}
    assert of_branch.startswith("branch-code-")
    line.git("merge", "--quiet", "--ff-only", "idea")
    merged = line.ci()
    assert {"run tests", "build code half"} <= set(merged.tasks())
    assert {of_branch, of_branch.removeprefix("branch-")} <= halves(line)
