"""What is waited for, how long, and what is said meanwhile."""

from collections.abc import Callable

import pytest

from flows.services.process.poll import Waiting, poll


def looks(*results: int | Waiting) -> Callable[[], int | Waiting]:
    """Gives these one after the other, the last one for good."""
    left = list(results)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def late(reason: str) -> Exception:
    return TimeoutError(f"late: {reason}")


def test_the_first_result_is_returned_also_where_it_is_false() -> None:
    assert poll(looks(Waiting(), Waiting(), 0, 1), timeout=60, pause=0, late=late) == 0


def test_each_new_reason_is_reported_once_and_none_that_is_empty() -> None:
    said: list[str] = []
    results = (Waiting(), Waiting("a"), Waiting("a"), Waiting(), Waiting("b"), Waiting("a"), 1)
    assert poll(looks(*results), timeout=60, pause=0, late=late, on_change=said.append) == 1
    assert said == ["a", "b", "a"]


def test_after_the_time_out_the_last_reason_is_raised() -> None:
    with pytest.raises(TimeoutError, match="late: the last"):
        poll(looks(Waiting("the first"), Waiting("the last")), timeout=0.05, pause=0.01, late=late)


def test_without_any_time_there_is_a_single_look() -> None:
    assert poll(looks(1), timeout=0, pause=60, late=late) == 1


def test_a_look_that_raises_ends_the_wait() -> None:
    def broken() -> Waiting:
        raise KeyError("gone")

    with pytest.raises(KeyError):
        poll(broken, timeout=60, pause=0, late=late)
