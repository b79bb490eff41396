import pytest

from flows.core.trigger.attempts import MAX_ATTEMPTS, UNAVAILABLE
from flows.core.trigger.crash import OUTAGE, Ended, Leave, Restart, decide, is_lost
from flows.core.trigger.run_labels import RESTARTED, TRIGGERED

LOST = ("SCHEDULED", "PENDING", "RUNNING", "CRASHED")


def ended(
    *tags: str,
    states: tuple[str, ...] = LOST,
    deployment: str | None = "d",
    attempt: int = 1,
    name: str = "Crashed",
) -> Ended:
    return Ended(deployment, frozenset(tags), states, attempt, name)


@pytest.mark.parametrize("tags", [("release", "nightly"), ("ci", "branch:main"), ()])
def test_a_run_that_crashed_is_restarted(tags: tuple[str, ...]) -> None:
    decision = decide(ended(*tags))
    assert isinstance(decision, Restart)
    assert decision.move.startswith("None: ")
    assert not decision.later


def test_a_night_that_found_a_system_away_is_restarted_later_and_once() -> None:
    decision = decide(ended("release", "nightly", name=UNAVAILABLE))
    assert isinstance(decision, Restart)
    assert decision.later == OUTAGE
    assert decision.move.startswith("Operations: ")
    assert isinstance(decide(ended("release", "nightly", RESTARTED, name=UNAVAILABLE)), Leave)


@pytest.mark.parametrize(
    ("run", "why", "move"),
    [
        (ended(RESTARTED), "second try", "Operations"),
        (ended("ci", TRIGGERED, attempt=MAX_ATTEMPTS - 1), "the poller", "None: "),
        (ended("ci", TRIGGERED, attempt=MAX_ATTEMPTS), "the last of 3 tries", "Operations"),
        (ended(states=(*LOST, "SCHEDULED")), "handled already", "None: "),
        (ended(states=("SCHEDULED", "RUNNING", "COMPLETED")), "has not crashed", "None: "),
        (ended(states=()), "has not crashed", "None: "),
        (ended(states=("RUNNING", "CANCELLING", "CRASHED")), "being cancelled", "None: "),
        (ended(deployment=None), "has no deployment", "The person who started it"),
    ],
)
def test_a_run_is_left_alone_and_it_is_said_why_and_whose_move_it_is(run: Ended, why: str, move: str) -> None:
    decision = decide(run)
    assert isinstance(decision, Leave)
    assert why in decision.reason
    assert decision.move.startswith(move)


@pytest.mark.parametrize(
    ("state", "name", "lost"),
    [
        ("RUNNING", "Running", True),
        ("RUNNING", "Retrying", True),
        ("CANCELLING", "Cancelling", True),
        ("PAUSED", "Paused", True),
        ("PAUSED", "Suspended", False),
        ("SCHEDULED", "Resuming", False),
        ("COMPLETED", "Completed", False),
        ("CRASHED", "Crashed", False),
    ],
)
def test_a_silent_run_is_lost_if_it_should_have_a_process(state: str, name: str, lost: bool) -> None:
    assert is_lost(state, name) == lost
