"""The results of the application's tests, read from their JUnit report."""

import hmac
import json
from dataclasses import asdict, dataclass

from junitparser import Attr, Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite
from pydantic import TypeAdapter

from flows.core.build import junit
from flows.core.errors import PermanentError
from flows.core.text import one_line
from flows.core.untrusted import Instant, parsed_json

SLOWEST = 10

LONGEST = 1000
"""Characters of a test's name, and of why it failed."""


@dataclass(frozen=True)
class Case:
    """One test: `seconds` it took, and where it did not pass, the first line of why."""

    name: str
    seconds: float
    failure: str = ""


@dataclass(frozen=True)
class TestResults:
    """Each test, and the number of those that were skipped."""

    __test__ = False

    cases: tuple[Case, ...]
    skipped: int

    @property
    def failed(self) -> tuple[Case, ...]:
        """The tests that failed or broke off."""
        return tuple(case for case in self.cases if case.failure)

    @property
    def passed(self) -> int:
        """How many ran and did not fail."""
        return len(self.cases) - len(self.failed) - self.skipped

    @property
    def slowest(self) -> tuple[Case, ...]:
        """The ten that took longest, longest first."""
        return tuple(sorted(self.cases, key=lambda case: -case.seconds)[:SLOWEST])

    def __str__(self) -> str:
        return f"{self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped"


class TestsFailed(PermanentError):
    """A test of the application failed, hung, or none was collected; `results` as far as there are any."""

    __test__ = False
    advice = "Read the table of tests in the run's report, correct code or tests, and commit."

    def __init__(
        self, happened: str, remedy: str = "", *, details: str = "", results: TestResults | None = None
    ) -> None:
        super().__init__(happened, remedy, details=details)
        self.results = results


@dataclass(frozen=True)
class Passed:
    """All tests passed: with these results, in that run, at that time."""

    results: TestResults
    run: str
    since: Instant

    def __str__(self) -> str:
        return f"on {self.since:%Y-%m-%d at %H:%M} UTC in run {self.run}"

    def to_bytes(self, key: str, secret: str) -> bytes:
        """JSON, as it is kept under that key, authenticated with the secret (HMAC with SHA-256)."""
        content = {"key": key, **asdict(self), "since": self.since.isoformat()}
        text = json.dumps(content, separators=(",", ":"))
        return json.dumps({"passed": text, "hmac-sha256": _authenticator(text, secret)}).encode()

    @classmethod
    def from_bytes(cls, content: bytes, key: str, secret: str) -> "Passed | None":
        """The cached pass; None where the content is something else, is of another key, was written without
        the secret, or does not say that all passed."""
        try:
            outer = parsed_json(content)
            text, given = str(outer["passed"]), str(outer["hmac-sha256"])
            if not hmac.compare_digest(given.encode(), _authenticator(text, secret).encode()):
                return None
            kept = parsed_json(text)
            if kept["key"] != key:
                return None
            passed = _passes.validate_python(kept)
        except (ValueError, TypeError, KeyError):
            return None
        return None if _problem(passed.results, status=0) else passed


_passes = TypeAdapter(Passed)


def _authenticator(text: str, secret: str) -> str:
    return hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()


def parse(report: bytes) -> TestResults:
    """The results in a JUnit XML report, in the encoding that it declares; `TestsFailed` where it is none."""
    try:
        suites = JUnitXml.fromstring(junit.as_xml(report).encode())
        found = list(_cases(suites))
        cases = tuple(_case(case) for case in found)
    except SyntaxError as error:
        raise TestsFailed(
            f"The tests left a JUnit report that can't be read: {error}.",
            "Read the test stage's log: it may have been stopped in the middle.",
        ) from error
    except (JUnitXmlError, ValueError, RecursionError) as error:
        raise TestsFailed(
            f"The tests left a JUnit report that can't be read: {str(error).rstrip('.')}.",
            "Have the tests write JUnit XML: test suites with test cases.",
        ) from error
    return TestResults(
        cases=cases,
        skipped=sum(any(isinstance(result, Skipped) for result in case.result) for case in found),
    )


class _WrittenCase(TestCase):
    """A test with its time as text: junitparser reads `0,004` as 4 s, and no unit."""

    time = Attr()


def _cases(suites: JUnitXml | TestSuite) -> list[TestCase]:
    if isinstance(suites, TestSuite):
        return list(suites)
    return [case for suite in suites for case in suite]


def _case(case: TestCase) -> Case:
    bad = next((result for result in case.result if isinstance(result, Failure | Error)), None)
    failure = ""
    if bad is not None:
        lines = (bad.message or bad.text or "failed without a message").strip().splitlines()
        failure = lines[0] if lines else "failed without a message"
    name = f"{case.classname}.{case.name}" if case.classname else str(case.name)
    written = _WrittenCase.fromelem(case)  # type: ignore[no-untyped-call]  # the library types it in part
    name, failure = one_line(name)[:LONGEST], one_line(failure)[:LONGEST]
    return Case(name, junit.seconds(written.time), failure)


def require_success(results: TestResults | None, status: int | None, log: str) -> TestResults:
    """The results where all tests passed; `TestsFailed` says what did not.

    `results` is None where no report was left; `status` is the stage's exit status (None: its time was over)
    and `log` its last lines.
    """
    problem = _problem(results, status, log)
    if results is None or problem:
        raise TestsFailed(*problem, details=log, results=results)
    return results


def _problem(results: TestResults | None, status: int | None, log: str = "") -> tuple[str, ...]:
    """What happened and what to do, or nothing where all is well."""
    if results and results.failed:
        names = ", ".join(case.name for case in results.failed[:3])
        more = f" and {len(results.failed) - 3} more" if len(results.failed) > 3 else ""
        return (
            f"{len(results.failed)} of {len(results.cases)} tests failed: {names}{more}.",
            "Read each message in the run's table of tests, correct code or tests, and commit.",
        )
    if status is None:
        if log.strip():
            return "The tests were not done within their time.", "Read their last lines in the run's report."
        return "The tests were not done within their time and wrote nothing.", "Run them by hand."
    if results is None:
        return (
            f"The test stage ended with exit status {status} and left no report.",
            "Have the test stage write /reports/junit.xml.",
        )
    if results.passed == 0:
        return "No test was run.", "Have the test stage collect at least one test that is not skipped."
    if status != 0:
        return (
            f"All tests passed, yet the test stage ended with exit status {status}.",
            "Read the stage's last lines in the run's report.",
        )
    return ()
