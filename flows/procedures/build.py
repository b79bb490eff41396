"""The tasks from a capsule to a pushed image."""

from collections.abc import Callable
from typing import cast

from prefect import runtime

from flows.core.build.image import Image
from flows.core.build.report import CiReport
from flows.core.build.test_results import TestResults, TestsFailed
from flows.core.markdown import Markdown, linked, plain
from flows.runtime import artifacts, tasks
from flows.stages.ci import Fetched, Inputs
from flows.stages.context import RunContext
from flows.stages.halves import PushedModel
from flows.stages.test_cache import Earlier

HAD = "the registry had it"


def build(run: RunContext, inputs: Inputs, report: CiReport, *, fresh: bool) -> Image:
    """Test, build, smoke-test and push the image; the model is fetched while the tests run."""
    if run.settings.app.model_path:
        return compose(run, inputs, report, fresh=fresh)
    coming = tasks.fetch_model.submit(run, inputs)
    test(run, inputs, report, fresh=fresh)
    fetched = coming.result()
    report.model_files = fetched.how
    built = tasks.build_image(run, inputs, fetched.folder)
    tasks.smoke_test(run, inputs, built, fetched.folder)
    return tasks.push_image(run, inputs, built, fetched.folder)


def compose(run: RunContext, inputs: Inputs, report: CiReport, *, fresh: bool) -> Image:
    """Have both halves in the registry, side by side; compose the image of them, try it out, and tag it."""
    coming = model_half(run, inputs, report)
    code = code_half(run, inputs, report, fresh=fresh)
    model = coming()
    image = tasks.compose_image(run, inputs, code, model)
    pulled = tasks.pull_image(run, image)
    tasks.smoke_test(run, inputs, pulled, model.folder)
    return tasks.tag_image(run, inputs, image, model)


def code_half(run: RunContext, inputs: Inputs, report: CiReport, *, fresh: bool) -> Image:
    """The code half: the registry's, whose tests passed, or one that is tested, built and pushed now."""
    found = tasks.find_code_half(run, inputs)
    if found is None or fresh:
        test(run, inputs, report, fresh=fresh)
    else:
        report.tests = "passed before this code half was pushed"
    if found is not None:
        report.code_half, report.is_composed = f"{inputs.capsule.code[:12]}: {HAD}", True
        return found
    pushed = tasks.push_code_half(run, inputs, tasks.build_code_half(run, inputs))
    report.code_half = f"{inputs.capsule.code[:12]}: built and pushed"
    return pushed


def model_half(run: RunContext, inputs: Inputs, report: CiReport) -> Callable[[], PushedModel]:
    """Begin to fetch and push the model half, if the registry lacks it; a function that waits for it."""
    found = tasks.find_model_half(run, inputs)
    if found is not None:
        report.model_half = f"{inputs.capsule.model[:12]}: {HAD}"
        return lambda: found
    fetching = tasks.fetch_model.submit(run, inputs)
    pushing = tasks.push_model_half.submit(run, inputs, cast(Fetched, fetching))  # which waits for it

    def pushed() -> PushedModel:
        report.model_files = fetching.result().how  # its error, not that nothing came
        report.model_half = f"{inputs.capsule.model[:12]}: pushed"
        return pushing.result()

    return pushed


def test(run: RunContext, inputs: Inputs, report: CiReport, *, fresh: bool) -> None:
    """Run the tests, unless they passed before with the same content; a failure is never cached."""
    table = f"tests-{inputs.capsule.short}"
    earlier = tasks.look_up_tests(run, inputs, fresh=fresh)
    if (passed := earlier.passed) is not None:
        results = passed.results
        report.tests = Markdown(f"passed before, in {_linked(passed.run)}: {plain(results)}")
    else:
        results = run_tests(run, inputs, table, earlier)
        report.tests = str(results)
        if earlier.answers:
            tasks.keep_tests(run, inputs, results)
    artifacts.publish_tests(run, results, table)


def run_tests(run: RunContext, inputs: Inputs, table: str, earlier: Earlier) -> TestResults:
    """Run the test stage. If tests fail, publish their table too, and delete a cached pass that could not be
    looked up."""
    try:
        return tasks.run_tests(run, inputs)
    except TestsFailed as failure:
        if not earlier.answers:
            tasks.forget_tests(run, inputs)
        if failure.results:
            artifacts.publish_tests(run, failure.results, table)
        raise


def _linked(run: str) -> str:
    """The run with a link to its page; "this run" for the run itself."""
    this, link = str(runtime.flow_run.id), runtime.flow_run.ui_url or ""
    if run == this:
        return "this run"
    return linked(f"run {run}", link.replace(this, run))
