"""Only the failed part of a run is repeated: tests that passed, and a model that was fetched, are there."""

from collections import Counter
from typing import Any

import pytest

from flows.config import load as configuration
from flows.core.errors import StoreUnavailable
from flows.credentials.prefect_blocks import blob_store
from flows.services.images import test_stage
from flows.services.images.test_cache import TestCache
from flows.services.prefect.client import FlowRun
from tests.flows.conftest import Line
from tests.support.prefect_client import asking
from tests.support.retry import retry


def stages(line: Line, run: FlowRun) -> Counter[str]:
    """How often each was run, over all tries of the run."""
    query = {"flow_runs": {"id": {"any_": [run.id]}}}
    with asking(line.platform.api) as client:
        found: list[dict[str, Any]] = client.post("/task_runs/filter", json=query).raise_for_status().json()
    return Counter(str(task["name"]).rsplit("-", 1)[0] for task in found)


@pytest.mark.slow
def test_a_run_that_failed_after_its_tests_is_retried_without_them(line: Line) -> None:
    store, path = blob_store(configuration.load().model), f"{line.model}/1.0.0/model.onnx"
    content = store.read(path)
    assert content
    store.replace(path, content[:-1] + b"!")
    failed = line.platform.wait(line.start("ci/commit"))
    assert failed.state == "FAILED"
    assert line.tags() == []
    store.replace(path, content)

    retry(line.platform, failed)
    ended = line.platform.wait(failed)
    assert ended.state == "COMPLETED", line.platform.log(ended)
    assert (stages(line, ended)["run tests"], stages(line, ended)["look up tests"]) == (1, 2)
    assert "The tests of this code passed before" in line.platform.log(ended)
    latest = line.latest
    assert latest
    assert line.registry.image(latest.content.capsule).digest == latest.digest


def test_a_new_run_of_the_same_capsule_repeats_neither_tests_nor_download_unless_asked_to(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_APP__READY_TIMEOUT", "1")  # the trial fails, as on a machine that is busy
    line.commit(app="never ready")
    first = line.ci()
    assert not first.succeeded
    second = line.ci()
    assert "run tests" not in second.tasks()
    assert f"passed before, in [run {first.id}]" in second.artifacts()
    assert "fetched before, on this machine" in second.artifacts()
    assert "passed before" not in line.ci(fresh=True).artifacts()

    monkeypatch.setenv("SLIPWAY_RESULTS__CREDENTIALS", "never-made")
    unaware = line.ci()
    assert "run tests" in unaware.tasks()
    assert unaware.log().count("Could not read the cached test result") == 1


@pytest.mark.slow
def test_an_earlier_pass_is_forgotten_by_a_failure_though_the_storage_was_away_at_first(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_APP__READY_TIMEOUT", "1")
    line.commit(app="never ready")
    assert "run tests" in line.ci().tasks()
    forget = TestCache.forget

    def away(tests: TestCache, key: str) -> None:
        monkeypatch.setattr(TestCache, "forget", forget)
        raise StoreUnavailable("The store is away.")

    with monkeypatch.context() as flaky:
        flaky.setattr(test_stage, "run", lambda *_, **__: test_stage.TestRun(1, None, "expected a cat"))
        monkeypatch.setattr(TestCache, "forget", away)
        failed = line.ci(fresh=True)
    assert failed.tasks()["run tests"] == ("FAILED", 1)
    assert "run tests" in line.ci().tasks()
