"""What a person finds on a run's page in the Prefect UI: markdown and tables, made from values."""

from collections.abc import Iterable, Mapping

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.core.errors import SlipwayError
from flows.core.test_results import Case, TestResults
from flows.run import Run, Stage


def markdown(title: str, facts: Mapping[str, object], journal: Iterable[Stage], story: str = "") -> str:
    """What went in, what came out and how long each stage took; `story` explains a failure."""
    rows = [f"| {name} | {_cell(value)} |" for name, value in facts.items()]
    stages = [
        f"| {stage.name} | {stage.seconds:.1f} s | {'' if stage.outcome == 'done' else '**failed**'} |"
        for stage in journal
    ]
    parts = [f"# {title}", "| | |\n|---|---|\n" + "\n".join(rows)]
    if story:
        parts.append(f"## Why\n\n```\n{story}\n```")
    parts.append("## Stages\n\n| stage | took | |\n|---|---|---|\n" + "\n".join(stages))
    return "\n\n".join(parts)


def publish(run: Run, key: str, facts: Mapping[str, object]) -> None:
    """The run's closing artifact."""
    create_markdown_artifact(markdown(f"{key}: done", facts, run.journal), key=key)


def publish_failure(run: Run, key: str, error: SlipwayError, facts: Mapping[str, object]) -> None:
    """The closing artifact of a run that failed: what happened, and all that explains it."""
    create_markdown_artifact(
        markdown(str(error), facts, run.journal, error.details), key=key, description=error.happened
    )


def publish_tests(results: TestResults, key: str) -> None:
    """Totals, every failed test with its message, and the ten slowest."""
    rows = [
        {"test": "total", "result": str(results), "seconds": f"{sum(c.seconds for c in results.cases):.1f}"}
    ]
    rows += [_row(case, case.failure) for case in results.failed]
    rows += [_row(case, "one of the slowest") for case in results.slowest if not case.failure]
    create_table_artifact(rows, key=key, description=f"Tests: {results}")


def _row(case: Case, result: str) -> dict[str, str]:
    return {"test": case.name, "result": result, "seconds": f"{case.seconds:.2f}"}


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
