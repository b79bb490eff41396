from datetime import UTC, datetime

import pytest

from flows.core.build.test_results import Case, Passed, TestResults, TestsFailed, parse, require_success

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest" tests="4">
  <testcase classname="tests.app.test_score" name="test_good" time="0.25"/>
  <testcase classname="tests.app.test_score" name="test_bad" time="0.5">
    <failure message="assert 1 == 2">long text</failure>
  </testcase>
  <testcase classname="tests.app.test_score" name="test_broken" time="0.1">
    <error message="fixture failed&#10;at line 2"/>
  </testcase>
  <testcase classname="tests.app.test_score" name="test_skipped" time="0"><skipped message="no"/></testcase>
</testsuite></testsuites>"""
GOOD = TestResults((Case("t.a", 0.1), Case("t.b", 0.2)), skipped=0)


def test_a_report_gives_totals_and_the_first_line_of_each_failure() -> None:
    results = parse(REPORT)
    assert str(results) == "1 passed, 2 failed, 1 skipped"
    assert [case.failure for case in results.failed] == ["assert 1 == 2", "fixture failed"]
    assert results.slowest[0] == Case("tests.app.test_score.test_bad", 0.5, "assert 1 == 2")


def test_a_report_cut_off_in_the_middle_is_told() -> None:
    with pytest.raises(TestsFailed, match="can't be read"):
        parse(REPORT[:200])


def test_all_green_passes() -> None:
    assert require_success(GOOD, 0, "") is GOOD


@pytest.mark.parametrize(
    ("results", "status", "told"),
    [
        (parse(REPORT), 1, "2 of 4 tests failed: tests.app.test_score.test_bad, .*test_broken"),
        (None, 2, "exit status 2 and left no report"),
        (None, None, "not done within their time"),
        (GOOD, None, "not done within their time"),
        (GOOD, 3, "exit status 3"),
        (TestResults((), skipped=0), 5, "No test was run"),
        (TestResults((Case("t.a", 0),), skipped=1), 0, "No test was run"),
    ],
    ids=["failed", "no report", "hung, no report", "hung", "status", "none collected", "all skipped"],
)
def test_anything_less_is_a_failure_that_says_what(
    results: TestResults | None, status: int | None, told: str
) -> None:
    with pytest.raises(TestsFailed, match=f"(?s){told}") as failure:
        require_success(results, status, "last words")
    assert failure.value.results is results
    assert failure.value.details == "last words"


NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)


def test_what_passed_is_read_as_it_was_kept() -> None:
    passed = Passed(GOOD, "run-1", NOW)
    assert Passed.from_bytes(passed.to_bytes()) == passed


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"half of {",
        b"[]",
        b'{"results": {"cases": []}}',
        Passed(TestResults((Case("t.a", 0.1, "failed"),), skipped=0), "run-1", NOW).to_bytes(),
        Passed(TestResults((), skipped=0), "run-1", NOW).to_bytes(),
    ],
)
def test_what_does_not_say_that_all_passed_is_as_good_as_nothing(kept: bytes) -> None:
    assert Passed.from_bytes(kept) is None


@pytest.mark.parametrize(
    "report", ['<testsuites><testsuite><testcase name="a" time="x"/></testsuite></testsuites>']
)
def test_a_report_with_a_number_that_is_none_is_told(report: str) -> None:
    with pytest.raises(TestsFailed, match="can't be read"):
        parse(report)
