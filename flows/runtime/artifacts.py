"""What a person sees on a run's page in the Prefect UI, and on history pages: Markdown and tables.

A history page is an artifact under one key, whose versions are its history. No run fails because of an
artifact: if the server is away, is busy or refuses it, that is logged.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast
from zoneinfo import ZoneInfo

import httpx
from prefect.artifacts import Artifact as PublishedArtifact
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import Artifact
from prefect.exceptions import PrefectException
from prefect.utilities.urls import url_for

from flows.core.build.report import CiReport
from flows.core.build.test_results import Case, TestResults
from flows.core.doctor.finding import Finding, summary
from flows.core.duel.page import markdown_page
from flows.core.errors import SlipwayError
from flows.core.markdown import block, plain
from flows.core.release import history_page
from flows.core.release import record as records
from flows.core.release.record import Record
from flows.core.release.report import EnvironmentReport, ReleaseReport
from flows.services.process.command import Say
from flows.stages.context import RunContext, Stage
from flows.stages.duel import HeldDuel


class Rows(dict[str, object]):
    """The report of a flow that only shows what it did: rows of a table, by their names."""


Report = CiReport | ReleaseReport | Rows


@contextmanager
def best_effort(what: str, say: Say) -> Iterator[None]:
    """Log an error of the Prefect server instead of raising it; other errors still end the run."""
    try:
        yield
    except (PrefectException, httpx.HTTPError) as error:
        say(f"{what} was not written, which nothing depends on: {error or type(error).__name__}")


def markdown(title: str, facts: Mapping[str, object], journal: Iterable[Stage], story: str = "") -> str:
    """The report of a run: its facts, how long each stage took, and the `story` that explains a failure."""
    rows = [f"| {name} | {plain(value)} |" for name, value in facts.items()]
    stages = [
        f"| {stage.name} | {stage.seconds:.1f} s | {'' if stage.outcome == 'done' else '**failed**'} |"
        for stage in journal
    ]
    parts = [f"# {plain(title)}", "| | |\n|---|---|\n" + "\n".join(rows)]
    if story:
        parts.append(f"## Why\n\n{block(story)}")
    parts.append("## Stages\n\n| stage | took | |\n|---|---|---|\n" + "\n".join(stages))
    return "\n\n".join(parts)


def publish(run: RunContext, key: str, report: Report) -> None:
    """Write the report of a run that ended well."""
    _write(run, key, markdown(f"{key}: done", rows_of(report), run.journal))


def publish_failure(run: RunContext, key: str, error: SlipwayError, report: Report) -> None:
    """Write the report of a run that failed: what happened, and all that explains it."""
    _write(run, key, markdown(error.with_docs, rows_of(report), run.journal, error.details), error.happened)


def rows_of(report: Report) -> dict[str, object]:
    """The facts that are known, by their names in the report's table."""
    match report:
        case CiReport():
            rows = _rows_of_ci(report)
        case ReleaseReport():
            rows = {}
            for name, part in report.environments.items():
                rows |= {f"{name}: {what}": value for what, value in _rows_of_environment(part).items()}
        case Rows():
            return report
    return {name: value for name, value in rows.items() if value not in (None, "")}


def _rows_of_ci(report: CiReport) -> dict[str, object]:
    commit, built = report.commit, report.is_built
    return {
        "asked for": report.requested,
        "commit": commit,
        "branch": commit and (commit.branch or "none"),
        "passed over": report.passed_over,
        "model": report.model,
        "its version in the store": report.model and report.model.stored,
        "capsule": report.capsule,
        "changed": report.changed,
        "tests": report.tests,
        "code half": report.code_half,
        "model half": report.model_half,
        "model's files": report.model_files,
        "image": report.image,
        "built": None if built is None else _built(report),
        "duel": report.duel,
        "forced": report.forced,
        "latest": report.latest,
        "outcome": report.outcome,
    }


def _built(report: CiReport) -> str:
    if not report.is_built:
        return "no: the registry had it"
    return "no: composed with the code half that the registry had" if report.is_composed else "yes"


def _rows_of_environment(part: EnvironmentReport) -> dict[str, object]:
    candidate = part.candidate
    return {
        "left in the middle": part.interrupted,
        "wanted": candidate,
        "found as": part.requested_as,
        "image": candidate and candidate.image,
        "capsule": candidate and candidate.content.capsule,
        "halves": candidate and candidate.content.halves,
        "composed by": part.composed_by,
        "asked by": part.asked_by,
        "changed": part.changed,
        "approval": part.approval,
        "release": part.number,
        "decision": part.decision,
        "proof": part.proof,
    }


def publish_tests(run: RunContext, results: TestResults, key: str) -> None:
    """Write the table of tests: totals, every failed test with its message, and the ten slowest."""
    rows = [
        {"test": "total", "result": str(results), "seconds": f"{sum(c.seconds for c in results.cases):.1f}"}
    ]
    rows += [_row(case, case.failure) for case in results.failed]
    rows += [_row(case, "one of the slowest") for case in results.slowest if not case.failure]
    with best_effort(f"The table {key}", run.say):
        create_table_artifact(rows, key=key, description=f"Tests: {results}")


def publish_findings(run: RunContext, found: Sequence[Finding]) -> None:
    """Write the doctor's table."""
    rows = [
        {
            "state": one.state,
            "what": plain(one.subject),
            "seen": plain(one.seen),
            "what to do": plain(one.remedy),
            "tried": plain(one.tried),
        }
        for one in found
    ]
    with best_effort("The table findings", run.say):
        create_table_artifact(rows, key="findings", description=plain(summary(found)))


def publish_duel(run: RunContext, held: HeldDuel, decision: str) -> None:
    """Write the page of a duel: the plots, what was found, and the answers that changed most."""
    text = markdown_page(held.duel, decision, held.thumbnails)
    _write(run, "duel", text, f"The duel: {held.duel}")


def publish_branch_page(run: RunContext, report: CiReport, verdict: str) -> None:
    """Write the page of a branch: how its newest run of ci ended. A commit on no branch has no page."""
    if branch := report.built_branch:
        page = history_page.branch_page(branch, verdict, rows_of(report), link(run.id))
        _write(run, history_page.branch_key(branch), page.text, page.headline)


def update_history_page(run: RunContext, environment: str, known: Sequence[Record] | None = None) -> None:
    """Write what is deployed now into the environment's page, if it differs; no run fails because of it.

    `known` are the records if they were just read. While a release is pending, nothing is written: its run
    does that at its end.
    """
    try:
        history = run.releases(environment).history() if known is None else known
    except SlipwayError as error:
        run.say(f"The history page of {environment} was not written, which nothing depends on: {error}")
        return
    if records.pending(history) is None:
        publish_history(run, environment, history)


def publish_history(run: RunContext, environment: str, history: Sequence[Record]) -> None:
    """Write the page of an environment, what is deployed now and what was before, unless it is unchanged."""
    key = history_page.environment_key(environment)
    page = history_page.environment_page(environment, history, link, ZoneInfo(run.settings.timezone))
    with best_effort(f"The artifact {key}", run.say):
        if (newest := _newest(key)) is None or newest.data != page.text:
            create_markdown_artifact(page.text, key=key, description=plain(page.headline))


def publish_nights(rows: Sequence[Mapping[str, str]]) -> None:
    """Write the table of nights in place of the one before."""
    create_table_artifact(
        [dict(row) for row in rows], key=history_page.NIGHTS, description="What became of each night"
    )


def nights() -> list[Mapping[str, str]]:
    """The rows of the table of nights; none before the first night."""
    before = _newest(history_page.NIGHTS)
    return json.loads(str(before.data)) if before and before.data else []


def link(run: str) -> str:
    """The address of the flow run's page; "" where the UI's address is not known."""
    return url_for("flow-run", obj_id=run) or ""


def _newest(key: str) -> Artifact | None:
    return cast(Artifact | None, PublishedArtifact.get(key))


def _write(run: RunContext, key: str, text: str, description: str | None = None) -> None:
    with best_effort(f"The artifact {key}", run.say):
        create_markdown_artifact(text, key=key, description=description and plain(description))


def _row(case: Case, result: str) -> dict[str, str]:
    return {"test": plain(case.name), "result": plain(result), "seconds": f"{case.seconds:.2f}"}
