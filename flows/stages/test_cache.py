"""The stages around the tests of a capsule: whether they passed before, and remembering that they did."""

from dataclasses import dataclass
from datetime import UTC, datetime

from flows.core.build.test_results import Passed, TestResults
from flows.core.errors import SlipwayError
from flows.stages.ci import Inputs
from flows.stages.context import RunContext


@dataclass(frozen=True)
class Earlier:
    """What is known of a capsule's tests; `answers` is False where the storage could not be asked."""

    passed: Passed | None = None
    answers: bool = True


def look_up_tests(run: RunContext, inputs: Inputs, *, fresh: bool) -> Earlier:
    """The cached pass of this capsule, if any. With `fresh` it is deleted, because the tests may fail now."""
    try:
        if fresh:
            run.passed_tests.forget(inputs.capsule)
            return Earlier()
        passed = run.passed_tests.find(inputs.capsule)
    except SlipwayError as error:
        run.say(f"Could not read the cached test result; this run will not cache its own: {error}")
        return Earlier(answers=False)
    if passed:
        run.say(f"The tests of this capsule passed before, {passed}.")
    return Earlier(passed)


def keep_tests(run: RunContext, inputs: Inputs, results: TestResults) -> None:
    """Cache the pass of this capsule. If that fails, the next run of this content runs the tests again."""
    try:
        run.passed_tests.keep(inputs.capsule, Passed(results, run.id, datetime.now(UTC)))
    except SlipwayError as error:
        run.say(f"Could not cache the test result: {error}")


def forget_tests(run: RunContext, inputs: Inputs) -> None:
    """Delete the cached pass of this capsule. Called when its tests failed while the cache could not be read.

    If the cache still cannot be reached, the stale pass stays, and the next run skips the tests.
    """
    try:
        run.passed_tests.forget(inputs.capsule)
    except SlipwayError as error:
        run.say(f"Could not delete the cached test result; run again with `fresh`: {error}")
