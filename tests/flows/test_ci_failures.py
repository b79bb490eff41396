"""What a run makes of a failure on the way to an image.

What can fail, and what each stage says of it, is asserted in tests/stages/test_ci.py.
"""

import pytest

from flows.config import load as configuration
from flows.credentials.prefect_blocks import blob_store
from flows.services.models.model_store import ModelStore
from tests.flows.conftest import Ended, Line


def assert_nothing_came_of(run: Ended, line: Line) -> None:
    """No image, no pointer, no container."""
    assert not run.succeeded
    assert line.latest is None
    assert line.tags() == []
    assert run.left_behind() == []


@pytest.mark.slow
def test_a_commit_that_was_announced_and_has_not_arrived_is_left_to_the_triggers(line: Line) -> None:
    """Its run counts as crashed, after which triggers start a commit again; no crash is reported."""
    run = line.ci("a" * 40, branch="main")
    assert (run.state.type.value, run.state.name) == ("CRASHED", "NotThereYet")
    assert "has no commit aaaaaaaaaaaa yet" in run.message
    assert run.tasks()["resolve commit"] == ("FAILED", 4)
    assert_nothing_came_of(run, line)
    assert "# main: failed" not in run.artifacts()


def test_what_fails_before_there_is_a_commit_pins_no_model(line: Line) -> None:
    line.publish("1.1.0", "colours")
    assert not line.ci("no-such-branch", model="1.0.0").succeeded
    store = ModelStore(blob_store(configuration.load().model), configuration.state_folder() / "models")
    assert store.pinned(line.model) is None


def test_a_failure_stops_the_line_and_is_shown_on_the_pages_of_run_and_branch(line: Line) -> None:
    line.commit(tests="fail")
    run = line.ci()
    assert "1 of 1 tests failed: check.test_serves" in run.message
    assert "exception" not in run.message
    assert f"# main: failed: {run.message[:15]}" in run.artifacts()
    assert "expected a cat" in run.artifacts()
    assert run.tasks()["run tests"] == ("FAILED", 1)
    assert "keep tests" not in run.tasks()
    assert "build image" not in run.tasks()
    assert_nothing_came_of(run, line)
