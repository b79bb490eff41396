"""This machine's clock against others'."""

from datetime import timedelta

import pytest

from flows.core.doctor.clock import clock


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        (0, "ok"),
        (59, "ok"),
        (-59, "ok"),
        (60, "warning"),
        (-299, "warning"),
        (300, "failed"),
        (-3600, "failed"),
    ],
)
def test_a_minute_is_a_warning_and_five_are_a_fault(seconds: int, state: str) -> None:
    assert clock({"Prefect": timedelta(seconds=seconds)}).state == state


def test_systems_that_agree_are_not_named_among_those_that_do_not() -> None:
    found = clock({"Prefect": timedelta(), "Entra ID": timedelta(seconds=-90), "a": timedelta(minutes=7)})
    assert found.seen == "This machine's clock is 90 s behind Entra ID, and 7 min ahead of a."


def test_without_an_answer_there_is_nothing_to_compare() -> None:
    assert not clock({}).checked
