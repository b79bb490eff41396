"""What every flow does around its stages: log, and close with a report that explains the run."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger

from flows import report
from flows.core.errors import SlipwayError, TestsFailed
from flows.run import Run
from flows.services.command import Say


def flow_logger() -> Say:
    """Takes lines for the log of whatever runs: the task inside one, else the flow."""
    return lambda line: get_run_logger().info(line)


@contextmanager
def closing_report(run: Run, key: str) -> Iterator[dict[str, object]]:
    """Collects facts while the stages run, and publishes them at the end, or what went wrong."""
    facts: dict[str, object] = {}
    try:
        yield facts
    except SlipwayError as error:
        if isinstance(error, TestsFailed) and error.results:
            report.publish_tests(error.results, f"{key}-tests")
        report.publish_failure(run, key, error, facts)
        raise
    report.publish(run, key, "", facts)
