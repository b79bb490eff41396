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
    """When this capsule's tests passed, if they did; with `fresh` that is forgotten, as they may fail now."""
    try:
        if fresh:
            run.passed_tests.forget(inputs.capsule)
            return Earlier()
        passed = run.passed_tests.find(inputs.capsule)
    except SlipwayError as error:
        run.say(f"Whether the tests passed before is not known, nor kept if they pass now: {error}")
        return Earlier(answers=False)
    if passed:
        run.say(f"The tests of this capsule passed before, {passed}.")
    return Earlier(passed)


def keep_tests(run: RunContext, inputs: Inputs, results: TestResults) -> None:
    """Remember that this capsule's tests passed; where that can't be kept, they run again another time."""
    try:
        run.passed_tests.keep(inputs.capsule, Passed(results, run.id, datetime.now(UTC)))
    except SlipwayError as error:
        run.say(f"That the tests passed is not kept: {error}")


def forget_tests(run: RunContext, inputs: Inputs) -> None:
    """Know no more that this capsule's tests passed before: they failed, and the storage was away when it was
    asked. Where it still is, that they passed counts for the next run."""
    try:
        run.passed_tests.forget(inputs.capsule)
    except SlipwayError as error:
        run.say(f"Whether the tests passed before can't be forgotten; try again with `fresh`: {error}")
