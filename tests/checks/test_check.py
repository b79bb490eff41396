"""Checks side by side: what becomes of one that fails, breaks, waits or hangs."""

import threading
from collections.abc import Callable, Iterator

import pytest

from flows.checks.check import WITHIN, Check, CheckFailed, CheckSkipped, CheckWarning, run_all
from flows.core.doctor.finding import Finding
from flows.core.errors import RegistryUnavailable
from flows.services.process.cancellation import GRACE


def raising(error: Exception) -> Callable[[], str]:
    def look() -> str:
        raise error

    return look


@pytest.fixture
def hanging() -> Iterator[Callable[[], str]]:
    """A look that takes until the test is over."""
    over = threading.Event()

    def look() -> str:
        over.wait()
        return "late"

    yield look
    over.set()


def only(check: Check) -> Finding:
    (found,) = run_all([check])
    return found


def test_a_check_that_passes_gives_what_it_saw_and_what_it_tried() -> None:
    assert only(Check("a", "looked", lambda: "All is well.")) == Finding("a", "ok", "All is well.", "looked")


@pytest.mark.parametrize(
    ("error", "state", "seen", "remedy"),
    [
        (RegistryUnavailable("It is away.", "Start it."), "failed", "It is away.", "Start it."),
        (CheckFailed("It is wrong.", "Correct it."), "failed", "It is wrong.", "Correct it."),
        (CheckWarning("It ends soon.", "Renew it."), "warning", "It ends soon.", "Renew it."),
        (PermissionError(13, "Permission denied", "/a"), "failed", "Permission denied: '/a'", "Correct what"),
    ],
)
def test_a_check_says_what_is_wrong_and_what_to_do(
    error: Exception, state: str, seen: str, remedy: str
) -> None:
    found = only(Check("a", "looked", raising(error)))
    assert found.state == state
    assert seen in found.seen
    assert found.remedy.startswith(remedy)


def test_a_check_that_breaks_fails_its_row_alone_and_quotes_nothing() -> None:
    broken = Check("broken", "looked", raising(KeyError("a secret")))
    first, second = run_all([broken, Check("other", "looked", lambda: "Well.")])
    assert first.state == "failed"
    assert first.seen.startswith("This check broke off: KeyError at test_check.py:")
    assert "secret" not in repr(first)
    assert second.state == "ok"


def test_a_check_runs_after_the_row_that_it_needs_and_only_if_that_is_in_order() -> None:
    seen: list[str] = []

    def noted(name: str) -> Callable[[], str]:
        def look() -> str:
            seen.append(name)
            return name

        return look

    checks = [
        Check("second", "looked", noted("second"), needs=("first",)),
        Check("first", "looked", noted("first")),
        Check("third", "looked", lambda: "", needs=("away",)),
        Check("fourth", "looked", lambda: "", needs=("third",)),
        Check("away", "looked", raising(CheckFailed("Away.", "Start it."))),
        Check("empty", "looked", raising(CheckSkipped("there is nothing"))),
    ]
    found = {row.subject: row for row in run_all(checks)}
    assert seen == ["first", "second"]
    assert [name for name, row in found.items() if row.state == "failed"] == ["away"]
    assert found["third"].seen == "Not checked, because away is not in order."
    assert found["fourth"].seen == "Not checked, because third is not in order."
    assert found["empty"].seen == "Not checked, because there is nothing."


def test_a_warning_keeps_no_other_row_from_being_checked() -> None:
    first = Check("first", "looked", raising(CheckWarning("Soon.", "Renew it.")))
    _, second = run_all([first, Check("second", "looked", lambda: "Well.", needs=("first",))])
    assert second.state == "ok"


def test_all_checks_and_what_they_have_under_way_end_within_twenty_seconds() -> None:
    assert WITHIN + GRACE < 20


def test_what_hangs_is_given_up_and_what_waits_for_it_says_so(hanging: Callable[[], str]) -> None:
    checks = [
        Check("hanging", "asked", hanging),
        Check("waiting", "looked", lambda: "", needs=("hanging",)),
        Check("after", "looked", lambda: "", after=("hanging",)),
        Check("other", "looked", lambda: "Well."),
    ]
    hung, waiting, after, other = run_all(checks, within=0.2)
    assert (hung.state, hung.seen) == ("failed", "No answer came within 0.2 s.")
    assert waiting.seen == after.seen == "Not checked, because hanging took too long."
    assert other.state == "ok"
