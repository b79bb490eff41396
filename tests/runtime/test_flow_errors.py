"""The state that an error of ours ends a run with, without a Prefect server."""

import pytest
from prefect.client.schemas.objects import State
from prefect.logging import disable_run_logger

from flows.core.errors import (
    CommitNotThere,
    EngineUnavailable,
    ModelNotFound,
    RegistryUnavailable,
    SeveralFailed,
    SlipwayError,
    TrialFailed,
)
from flows.runtime.flow_errors import ENDED, failed, returns_failed_state, unavailable_or_failed

AWAY, OURS = RegistryUnavailable("No answer.", "Start it."), TrialFailed("It died.", "Correct it.")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (AWAY, ("CRASHED", "Unavailable")),
        (EngineUnavailable("No answer."), ("CRASHED", "Unavailable")),
        (CommitNotThere("Not yet."), ("CRASHED", "NotThereYet")),
        (SeveralFailed([AWAY, EngineUnavailable("No answer.")]), ("CRASHED", "Unavailable")),
        (SeveralFailed([AWAY, OURS]), ("FAILED", "Failed")),
        (OURS, ("FAILED", "Failed")),
        (ModelNotFound("None."), ("FAILED", "Failed")),
    ],
)
def test_a_run_that_only_found_a_system_away_has_not_failed(
    error: SlipwayError, state: tuple[str, str]
) -> None:
    ended = unavailable_or_failed(error)
    assert (ended.type.value, ended.name) == state
    assert ended.message == error.with_docs


def test_a_run_that_nothing_starts_again_has_failed_whatever_was_away() -> None:
    ended = failed(AWAY)
    assert (ended.type.value, ended.name) == ("FAILED", "Failed")
    assert ended.message == "No answer. Start it. See docs/operations.md#registry-unavailable"


def test_a_run_whose_process_is_asked_to_end_says_so_and_has_crashed() -> None:
    @returns_failed_state
    def body() -> State[None]:
        raise SystemExit(0)

    with disable_run_logger():
        ended = body()
    assert (ended.type.value, ended.name, ended.message) == ("CRASHED", "Crashed", ENDED)
