from datetime import UTC, datetime

import pytest

from flows.core.build.test_results import (
    LONGEST,
    Case,
    Passed,
    TestResults,
    TestsFailed,
    parse,
    require_success,
)

REPORT = b"""<?xml version="1.0"?>
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


def test_a_report_cut_off_in_the_middle_is_reported() -> None:
    with pytest.raises(TestsFailed, match="can't be read"):
        parse(REPORT[:200])


def test_all_green_passes() -> None:
    assert require_success(GOOD, 0, "") is GOOD


@pytest.mark.parametrize(
    ("results", "status", "message"),
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
    results: TestResults | None, status: int | None, message: str
) -> None:
    with pytest.raises(TestsFailed, match=f"(?s){message}") as failure:
        require_success(results, status, "last words")
    assert failure.value.results is results
    assert failure.value.details == "last words"


NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
KEY, SECRET = "a" * 64, "s3cret-of-the-workers"


def test_what_passed_is_read_as_it_was_kept() -> None:
    passed = Passed(GOOD, "run-1", NOW)
    assert Passed.from_bytes(passed.to_bytes(KEY, SECRET), KEY, SECRET) == passed


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"half of {",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"results": {"cases": []}}',
        Passed(TestResults((Case("t.a", 0.1, "failed"),), skipped=0), "run-1", NOW).to_bytes(KEY, SECRET),
        Passed(TestResults((), skipped=0), "run-1", NOW).to_bytes(KEY, SECRET),
    ],
)
def test_what_does_not_say_that_all_passed_is_as_good_as_nothing(kept: bytes) -> None:
    assert Passed.from_bytes(kept, KEY, SECRET) is None


NAMED = '<testsuite name="s"><testcase classname="c" name="{}" time="0.1"/></testsuite>'
DECLARED = '<?xml version="1.0" encoding="{}"?>'


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", ""),
        ("utf-8", "UTF-8"),
        ("utf-8", "utf-16"),
        ("utf-8-sig", "UTF-8"),
        ("iso-8859-1", "ISO-8859-1"),
        ("iso-8859-15", "ISO-8859-15"),
        ("windows-1252", "windows-1252"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16LE"),
        ("utf-32", "UTF-32"),
    ],
)
def test_a_report_is_read_in_its_encoding(encoding: str, declared: str) -> None:
    text = (DECLARED.format(declared) if declared else "") + NAMED.format("geprüft")
    assert parse(text.encode(encoding)).cases == (Case("c.geprüft", 0.1),)


def test_references_to_characters_are_kept() -> None:
    assert parse(NAMED.format("pr&#252;f&#x74;&amp;").encode()).cases[0].name == "c.prüft&"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("", 0.0),
        ("0.25", 0.25),
        ("1e-3", 0.001),
        ("-0.5", 0.0),
        ("1,024.12", 1024.12),
        ("1,024", 1024.0),
        ("0,004", 0.004),
        ("12,5", 12.5),
        ("1.024,12", 1024.12),
        ("80.803us", 80.803e-6),
        ("80.803µs", 80.803e-6),
        ("15 ms", 0.015),
        ("3s", 3.0),
    ],
)
def test_a_time_is_read_as_the_runner_writes_it(time: str, expected: float) -> None:
    report = f'<testsuite><testcase name="a" time="{time}"/></testsuite>'.encode()
    assert parse(report).cases[0].seconds == pytest.approx(expected)


@pytest.mark.parametrize(
    "report",
    [
        "<testsuites><testsuite><testcase name='x'/></testsuite></testsuites>",
        "<testsuite><testcase name='x'/></testsuite>",
        "<testsuites><testsuite><testsuite><testcase name='x'/></testsuite></testsuite></testsuites>",
        "<testsuites xmlns='http://x.y/z'><testsuite><testcase name='x'/></testsuite></testsuites>",
    ],
)
def test_suites_of_every_nesting_and_namespace_are_read(report: str) -> None:
    assert [case.name for case in parse(report.encode()).cases] == ["x"]


def test_a_long_name_is_cut() -> None:
    assert len(parse(NAMED.format("x" * 100_000).encode()).cases[0].name) == LONGEST
