"""One half of what is live goes back, or forward, and the other one stays."""

import pytest

from tests.flows.conftest import Line
from tests.flows.environments import Place

STAGING = Place("staging")


@pytest.mark.slow
def test_a_model_goes_back_alone_and_the_release_names_the_run_that_composed_it(line_of_halves: Line) -> None:
    line = line_of_halves
    STAGING.empty()
    line.ci()
    first = line.latest
    assert first
    line.publish("1.1.0", "colours")
    line.ci()
    assert line.release().succeeded
    newer = line.commit("Not live yet")
    line.ci()
    latest = line.latest

    run = line.platform.wait(
        line.start("release/on-demand", environment="staging", model="1.0.0", reason="1.1.0 is slow")
    )
    assert run.state == "COMPLETED", run.message
    live = STAGING.history()[0]
    assert (live.content.commit, live.content.model.version) == (first.content.commit, "1.0.0")
    assert live.image.digest == first.digest
    assert live.content.code_half == first.content.code_half
    assert live.asked_for.startswith(f"1.1.0 is slow (commit {first.content.commit[:12]} with model 1.0.0, ")
    assert run.id in run.message
    composed_by = run.message.split("Run ")[-1].split()[0]
    assert f"composed by run {composed_by}" in live.asked_for
    assert line.latest == latest
    assert line.models.pinned(line.model) is None

    code = line.platform.wait(line.start("release/on-demand", environment="staging", code=newer))
    assert code.state == "COMPLETED", code.message
    live = STAGING.history()[0]
    assert (live.content.commit, live.content.model.version) == (newer, "1.0.0")


@pytest.mark.slow
def test_a_half_is_released_to_one_environment(line_of_halves: Line) -> None:
    run = line_of_halves.release(environment="every", model="1.0.0")
    assert "One half can be released to one environment only" in run.message
