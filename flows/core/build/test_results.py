"""What the application's tests said, read from their JUnit report."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from junitparser import Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite

from flows.core.errors import PermanentError

SLOWEST = 10


@dataclass(frozen=True)
class Case:
    """One test: `seconds` it took, and where it did not pass, the first line of why."""

    name: str
    seconds: float
    failure: str = ""


@dataclass(frozen=True)
class TestResults:
    """Totals, and each test by its name; `seconds` is the sum over the tests."""

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
    since: datetime

    def __str__(self) -> str:
        return f"on {self.since:%Y-%m-%d at %H:%M} UTC in run {self.run}"

    def to_bytes(self) -> bytes:
        """JSON, as it is kept."""
        content = {**asdict(self), "since": self.since.isoformat()}
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Passed | None":
        """What was kept; None where it is something else, or does not say that all passed."""
        try:
            kept = json.loads(content)
            cases = tuple(Case(**case) for case in kept["results"]["cases"])
            results = TestResults(cases, int(kept["results"]["skipped"]))
            passed = cls(results, str(kept["run"]), datetime.fromisoformat(kept["since"]))
        except (ValueError, TypeError, KeyError):
            return None
        return None if _problem(results, status=0) else passed


def parse(report: str) -> TestResults:
    """The results in a JUnit XML report; `TestsFailed` where it is none."""
    try:
        suites = JUnitXml.fromstring(report.encode())
        found = list(_cases(suites))
        cases = tuple(_case(case) for case in found)
    except (JUnitXmlError, SyntaxError, ValueError) as error:
        raise TestsFailed(
            f"The tests left a JUnit report that can't be read: {error}.",
            "Look at the test stage's log: it may have been stopped in the middle.",
        ) from error
    return TestResults(
        cases=cases,
        skipped=sum(any(isinstance(result, Skipped) for result in case.result) for case in found),
    )


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
    return Case(name=name, seconds=case.time or 0.0, failure=failure)


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
            "The run's table of tests has each message; mend the code or the tests and commit.",
        )
    if status is None:
        shown = "Read their last lines below." if log.strip() else "They wrote nothing: run them by hand."
        return "The tests were not done within their time.", shown
    if results is None:
        return (
            f"The test stage ended with exit status {status} and left no report.",
            "It must write /reports/junit.xml.",
        )
    if results.passed == 0:
        return "No test was run.", "The test stage must collect at least one that is not skipped."
    if status != 0:
        return (
            f"All tests passed, yet the test stage ended with exit status {status}.",
            "Its last lines say why.",
        )
    return ()
