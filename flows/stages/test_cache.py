"""The stages around the tests of a capsule: look up a cached pass, cache a new one, delete a wrong one."""

from dataclasses import dataclass
from datetime import UTC, datetime

from flows.core.build.test_results import Passed, TestResults
from flows.core.errors import SettingsError, SlipwayError
from flows.services.images.test_cache import key_of
from flows.stages.ci import Inputs
from flows.stages.context import RunContext


@dataclass(frozen=True)
class Earlier:
    """The cached pass of a capsule's tests, if any; `answers` is False where the storage could not be read,
    or there is no secret that authenticates what it holds."""

    passed: Passed | None = None
    answers: bool = True


def look_up_tests(run: RunContext, inputs: Inputs, *, fresh: bool) -> Earlier:
    """The cached pass of this code, if any. With `fresh` it is deleted, because the tests may fail now.

    For a commit of the released branch, a pass of another branch does not count.
    """
    try:
        secret = run.results_secret
    except SettingsError as error:
        run.say(f"Passed tests are not reused, and this run will not cache its own: {error}")
        return Earlier(answers=False)
    try:
        if fresh:
            run.passed_tests.forget(_key(inputs))
            return Earlier()
        keys = [key_of(inputs.capsule, trust) for trust in inputs.commit.trust.readable]
        found = (run.passed_tests.find(key, secret) for key in keys)
        passed = next((one for one in found if one), None)
    except SlipwayError as error:
        run.say(f"Could not read the cached test result; this run will not cache its own: {error}")
        return Earlier(answers=False)
    if passed:
        run.say(f"The tests of this code passed before, {passed}.")
    return Earlier(passed)


def keep_tests(run: RunContext, inputs: Inputs, results: TestResults) -> None:
    """Cache the pass of this code. If that fails, the next run of it runs the tests again."""
    try:
        passed = Passed(results, run.id, datetime.now(UTC))
        run.passed_tests.keep(_key(inputs), passed, run.results_secret)
    except SlipwayError as error:
        run.say(f"Could not cache the test result: {error}")


def forget_tests(run: RunContext, inputs: Inputs) -> None:
    """Delete the cached pass of this code. Called when its tests failed while the cache could not be read.

    If the cache still cannot be reached, the stale pass stays, and the next run skips the tests.
    """
    try:
        run.passed_tests.forget(_key(inputs))
    except SlipwayError as error:
        run.say(f"Could not delete the cached test result; run again with `fresh`: {error}")


def _key(inputs: Inputs) -> str:
    return key_of(inputs.capsule, inputs.commit.trust)
