"""What several ask at the same time is found once, and not again for as long as it counts."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from flows.triggers.single_flight import SingleFlight
from tests.support.waiting import wait_until

CALLERS = 8


@dataclass(frozen=True)
class Question:
    """Notes each look into the table of what is being asked: two for each caller."""

    looks: list[None] = field(default_factory=list)

    def __hash__(self) -> int:
        self.looks.append(None)
        return 0


def ask_at_the_same_time(find: Callable[[], int]) -> tuple[list[Future[tuple[int, bool]]], int]:
    """What each caller gets, when all have asked before anything is found; and how often that was."""
    together: SingleFlight[int] = SingleFlight()
    question = Question()
    found: list[None] = []

    def finds() -> int:
        found.append(None)
        wait_until(lambda: len(question.looks) >= 2 * CALLERS, "Not all have asked")
        return find()

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = [callers.submit(together.ask, question, finds) for _ in range(CALLERS)]
    return answers, len(found)


def test_what_many_ask_is_found_for_one_of_them_and_given_to_all() -> None:
    answers, found = ask_at_the_same_time(lambda: 42)
    assert sorted(answer.result() for answer in answers) == [(42, False)] * (CALLERS - 1) + [(42, True)]
    assert found == 1


def test_what_cannot_be_found_is_an_error_for_all_who_asked() -> None:
    def fails() -> int:
        raise ValueError("no answer")

    answers, found = ask_at_the_same_time(fails)
    for answer in answers:
        with pytest.raises(ValueError, match="no answer"):
            answer.result()
    assert found == 1


def test_what_is_asked_later_is_found_again() -> None:
    together: SingleFlight[int] = SingleFlight()
    answers = iter((1, 2))
    assert together.ask("it", lambda: next(answers)) == (1, True)
    assert together.ask("it", lambda: next(answers)) == (2, True)


def test_what_was_found_counts_for_as_long_as_it_is_set_to() -> None:
    now = 0.0
    together: SingleFlight[int] = SingleFlight(2, lambda: now)
    answers = iter((1, 2))
    assert together.ask("it", lambda: next(answers)) == (1, True)
    now = 1.9
    assert together.ask("it", lambda: next(answers)) == (1, False)
    now = 2.0
    assert together.ask("it", lambda: next(answers)) == (2, True)


def test_an_error_does_not_count_for_those_who_ask_later() -> None:
    together: SingleFlight[int] = SingleFlight(2, lambda: 0)
    with pytest.raises(ZeroDivisionError):
        together.ask("it", lambda: 1 // 0)
    assert together.ask("it", lambda: 1) == (1, True)
