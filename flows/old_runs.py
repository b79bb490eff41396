"""Prefect's flow runs that ended long ago: found and deleted through its API, some at a time.

Their task runs and logs go with them. Artifacts stay: those under a key are what ops look back through.
"""

from collections.abc import Collection, Iterator
from datetime import datetime

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

BATCH = 50
MOST = 2000
"""Deleted in one go; more wait for the next time, as each deletion holds up a server on SQLite."""

ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]


def forget(before: datetime, spared: Collection[str], *, dry_run: bool) -> int:
    """How many runs ended before that time and were deleted, or would be; those of `spared` commits stay."""
    count = 0
    with get_client(sync_client=True) as client:
        for run in _ended(client, before, frozenset(spared), keep=dry_run):
            count += 1
            if not dry_run:
                _delete(client, run)
            if count == MOST:
                break
    return count


def _ended(
    client: SyncPrefectClient, before: datetime, spared: frozenset[str], *, keep: bool
) -> Iterator[FlowRun]:
    """Each once, however many are deleted meanwhile."""
    wanted = FlowRunFilter(
        end_time=FlowRunFilterEndTime(before_=before),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ENDED)),
    )
    staying = 0
    while True:
        batch = client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.START_TIME_ASC, limit=BATCH, offset=staying
        )
        for run in batch:
            if run.parameters.get("ref") in spared:
                staying += 1
            else:
                staying += keep
                yield run
        if len(batch) < BATCH:
            return


def _delete(client: SyncPrefectClient, run: FlowRun) -> None:
    try:
        client.delete_flow_run(run.id)
    except ObjectNotFound:
        return  # somebody was quicker
