"""Prefect's flow runs that ended long ago: found and deleted through its API, some at a time.

Only those of our own work pool: others may use the same server. Their task runs and logs go with them.
Artifacts go once the server looks for those of runs that are gone: PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectException

from flows.core.errors import PrefectUnavailable, SettingsError

BATCH = 50
"""Runs that the server is asked for at a time."""

MOST = 2000
"""Runs deleted in one go; more wait for the next time: the server is busy with other runs too."""

ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]

UUID_FORM = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Of a flow run's id; a run by hand has another."""


@dataclass(frozen=True)
class Spared:
    """What stays, however old: the runs with these ids, and those that were started for these commits."""

    runs: Collection[str] = ()
    commits: Collection[str] = ()

    def has(self, run: FlowRun) -> bool:
        """Whether that one stays."""
        return str(run.id) in self.runs or run.parameters.get("ref") in self.commits


def forget(
    deployment: str,
    before: datetime,
    spared: Spared,
    *,
    dry_run: bool,
    batch: int = BATCH,
    most: int = MOST,
) -> int:
    """How many runs ended before that time and were deleted, or would be; those that are spared stay.

    They are those of the work pool that flow/deployment has: `most` in one call, `batch` at a time.
    `PrefectUnavailable` where the server does not answer, `SettingsError` where it has no such deployment.
    """
    count = 0
    try:
        with get_client(sync_client=True) as client:
            pool = client.read_deployment_by_name(deployment).work_pool_name
            for run in _ended(client, str(pool), before, spared, batch, keep=dry_run):
                count += 1
                if not dry_run:
                    _delete(client, run)
                if count == most:
                    break
    except ObjectNotFound as error:
        raise SettingsError(
            f"Prefect has no deployment {deployment}, which [watch] names.",
            "Register it: prefect deploy --all",
        ) from error
    except (PrefectException, httpx.HTTPError) as error:
        raise PrefectUnavailable(
            f"Prefect's server does not answer, after {count} runs: {error or type(error).__name__}.",
            "Check that the server is running. The next housekeeping deletes what is left.",
        ) from error
    return count


def ended(runs: Collection[str]) -> set[str]:
    """Those of the flow runs that are over; a run that the server does not know may be another server's.

    `PrefectUnavailable` where the server does not answer.
    """
    ids = [UUID(run) for run in runs if UUID_FORM.fullmatch(run)]
    if not ids:
        return set()
    wanted = FlowRunFilter(
        id=FlowRunFilterId(any_=ids), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ENDED))
    )
    try:
        with get_client(sync_client=True) as client:
            return {str(run.id) for run in client.read_flow_runs(flow_run_filter=wanted)}
    except (PrefectException, httpx.HTTPError) as error:
        raise PrefectUnavailable(
            f"Prefect's server does not answer: {error or type(error).__name__}."
        ) from error


def _ended(
    client: SyncPrefectClient, pool: str, before: datetime, spared: Spared, batch: int, *, keep: bool
) -> Iterator[FlowRun]:
    """Each once, however many are deleted meanwhile."""
    ours = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    wanted = FlowRunFilter(
        end_time=FlowRunFilterEndTime(before_=before),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ENDED)),
    )
    staying = 0
    while True:
        found = client.read_flow_runs(
            flow_run_filter=wanted,
            work_pool_filter=ours,
            sort=FlowRunSort.START_TIME_ASC,
            limit=batch,
            offset=staying,
        )
        for run in found:
            if spared.has(run):
                staying += 1
            else:
                staying += keep
                yield run
        if len(found) < batch:
            return


def _delete(client: SyncPrefectClient, run: FlowRun) -> None:
    try:
        client.delete_flow_run(run.id)
    except ObjectNotFound:
        return  # it was deleted meanwhile
