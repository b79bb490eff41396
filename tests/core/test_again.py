import pytest

from flows.core.again import Ended, Leave, Restart, decide, is_lost
from flows.core.run_names import AGAIN, TRIGGERED

LOST = ("SCHEDULED", "PENDING", "RUNNING", "CRASHED")


def ended(*tags: str, states: tuple[str, ...] = LOST, deployment: str | None = "d") -> Ended:
    return Ended(deployment, frozenset(tags), states)


@pytest.mark.parametrize("tags", [("release", "nightly"), ("ci", "branch:main"), ()])
def test_a_run_that_crashed_is_started_anew(tags: tuple[str, ...]) -> None:
    assert isinstance(decide(ended(*tags)), Restart)


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (ended(AGAIN), "second try"),
        (ended("ci", TRIGGERED, "branch:main"), "the watch"),
        (ended(states=(*LOST, "SCHEDULED")), "seen to it already"),
        (ended(states=("SCHEDULED", "RUNNING", "COMPLETED")), "has not crashed"),
        (ended(states=()), "has not crashed"),
        (ended(states=("RUNNING", "CANCELLING", "CRASHED")), "being cancelled"),
        (ended(deployment=None), "of no deployment"),
    ],
)
def test_a_run_is_left_alone_and_it_is_said_why(run: Ended, why: str) -> None:
    decision = decide(run)
    assert isinstance(decision, Leave)
    assert why in decision.reason


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
