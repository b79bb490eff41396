"""From a push or a publication to an image, through watch, server and worker, by itself."""

import pytest

from flows.core.trigger.run_labels import commit_tag
from flows.services.prefect.api import FlowRuns
from flows.services.prefect.client import FlowRun
from flows.triggers.poller import Watch
from tests.flows.conftest import Line
from tests.flows.polling import runs_for, start_own_deployment
from tests.support.waiting import wait_until


@pytest.fixture
def watch(line: Line, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """One that starts runs of the line."""
    start_own_deployment(line, monkeypatch)
    return Watch(print)


def run_for(line: Line, sha: str, model: str = "1.0.0") -> FlowRun:
    return line.platform.api.flow_run(runs_for(line, sha, model)[-1].id)


def test_a_commit_and_then_a_model_become_images_by_themselves(line: Line, watch: Watch) -> None:
    sha = line.git("rev-parse", "HEAD")
    watch.look()
    assert line.platform.wait(run_for(line, sha)).state == "COMPLETED"
    assert line.latest is not None
    assert line.latest.content.commit == sha
    line.publish("1.1.0", "colours")
    watch.look()
    ended = line.platform.wait(run_for(line, sha, "1.1.0"))
    assert "latest moved: same code, model 1.0.0 → 1.1.0" in ended.message
    watch.look()
    with FlowRuns() as runs:
        assert len(runs.with_tags(commit_tag(sha))) == 2


@pytest.mark.slow
def test_a_run_under_way_gives_way_to_a_newer_commit(line: Line, watch: Watch) -> None:
    older = line.commit(tests="hang")
    watch.look()
    run = run_for(line, older)
    reached = "test_serves is waiting"
    wait_until(lambda: reached in line.platform.log(run), f"the run has not logged {reached!r}")
    newer = line.commit()
    watch.look()
    assert line.platform.wait(run).state == "CANCELLED"
    assert line.platform.wait(run_for(line, newer)).state == "COMPLETED"
    assert line.latest is not None
    assert line.latest.content.commit == newer
