"""The tasks from a capsule to a pushed image."""

from prefect import runtime

from flows.core.build.image import Image
from flows.core.build.report import CiReport
from flows.core.build.test_results import TestResults, TestsFailed
from flows.core.markdown import Markdown, linked, plain
from flows.runtime import artifacts, tasks
from flows.stages.ci import Inputs
from flows.stages.context import RunContext
from flows.stages.test_cache import Earlier


def build(run: RunContext, inputs: Inputs, report: CiReport, *, fresh: bool) -> Image:
    """Test, build, smoke-test and push the image; the model is fetched while the tests run."""
    coming = tasks.fetch_model.submit(run, inputs)
    test(run, inputs, report, fresh=fresh)
    fetched = coming.result()
    report.model_files = fetched.how
    built = tasks.build_image(run, inputs, fetched.folder)
    tasks.smoke_test(run, inputs, built, fetched.folder)
    return tasks.push_image(run, inputs, built, fetched.folder)


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
