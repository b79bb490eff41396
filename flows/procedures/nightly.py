"""The nightly release: one run of each night releases, and every run updates the table of nights."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Completed

from flows.core.errors import SlipwayError
from flows.core.night.schedule import Go, NightlyRun, NightlyRuns, Nights
from flows.core.night.table import NIGHTS_KEPT, Row, bounded, table
from flows.core.trigger.run_labels import was_restarted
from flows.runtime import artifacts
from flows.runtime.flow_context import started_by_clock, this_run, was_scheduled
from flows.runtime.flow_errors import unavailable_or_failed
from flows.stages.context import RunContext

NIGHTLY = "nightly"
"""The tag of the deployment whose scheduled runs are nights."""

TABLE = "The table of nights"

RUNS_READ = 200
"""Number of runs that are read, the newest: more than the nights in the table and the runs of people."""


def is_nightly() -> bool:
    """Whether the clock started this run as the release of a night."""
    run = this_run()
    return run is not None and was_scheduled() and NIGHTLY in run.tags and run.deployment_id is not None


def once_a_night(
    run: RunContext, release: Callable[[], State[None]], recover: Callable[[], None]
) -> State[None]:
    """The state that `release` ends with, if this run releases for its night; else Skipped, with the reason.

    The table of nights gets the outcome. A restarted run that does not release still calls `recover`, which
    finishes or undoes what the crashed run left.
    """
    this = this_run()
    assert this is not None
    deployment = UUID(str(this.deployment_id))
    runs = known_runs(deployment, run.settings.nights)
    own = next((one for one in runs.runs if one.id == str(this.id)), nightly_run(this))
    decision = runs.decide(own)
    try:
        if isinstance(decision, Go):
            state = release()
        else:
            if own.again:
                recover()
            state = Completed(name="Skipped", message=f"No release: {decision.reason}.")
    except SlipwayError as error:
        end = unavailable_or_failed(error)
        failed = replace(own, state=end.type.value, state_name=end.name or "", message=str(error))
        _publish_end(run, deployment, failed)
        raise
    ended = replace(own, state=state.type.value, state_name=state.name or "", message=state.message or "")
    _publish_end(run, deployment, ended)
    return state


def known_runs(deployment: UUID, nights: Nights) -> NightlyRuns:
    """The runs of a deployment in the nights of the table, and a few days before."""
    now = datetime.now(UTC)
    wanted = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
        expected_start_time=FlowRunFilterExpectedStartTime(after_=now - timedelta(days=NIGHTS_KEPT + 5)),
    )
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=RUNS_READ
        )
    return NightlyRuns([nightly_run(one) for one in found], nights, now)


def nightly_run(found: FlowRun) -> NightlyRun:
    """The run with what the decision needs to know about it."""
    due = _plain(found.expected_start_time) or _plain(found.created)
    assert due is not None
    return NightlyRun(
        id=str(found.id),
        due=due,
        started=_plain(found.start_time),
        state=found.state_type.value if found.state_type else "SCHEDULED",
        state_name=found.state_name or "",
        message=(found.state.message if found.state else None) or "",
        by_clock=started_by_clock(found),
        again=was_restarted(found.tags),
    )


def publish_table(run: RunContext, runs: NightlyRuns, *further: Row) -> None:
    """Write the table that follows from the runs over the one before; `further` rows are of nights without a
    run."""
    with artifacts.best_effort(TABLE, run.say):
        artifacts.publish_nights(bounded([*table(artifacts.nights(), runs, artifacts.link), *further]))


def _publish_end(run: RunContext, deployment: UUID, own: NightlyRun) -> None:
    """Write the table with this run in the state in which it is about to end."""
    with artifacts.best_effort(TABLE, run.say):
        runs = known_runs(deployment, run.settings.nights)
        others = [one for one in runs.runs if one.id != own.id]
        publish_table(run, replace(runs, runs=[*others, own]))


def _plain(moment: datetime | None) -> datetime | None:
    """As Python's own type: Prefect's behaves differently."""
    return None if moment is None else datetime.fromtimestamp(moment.timestamp(), UTC)
