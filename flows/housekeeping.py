"""Housekeeping: delete what is older than `[housekeeping]` says, and report what was freed."""

from contextlib import nullcontext
from time import sleep

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.core.build.image_retention import Freed
from flows.core.errors import SlipwayError, raise_all
from flows.runtime import tasks
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.global_lock import LATEST, REACQUIRE_PAUSE, global_lock
from flows.stages.context import RunContext


@flow(name="housekeeping", flow_run_name="delete what is old")
@returns_failed_state
def housekeeping(dry_run: bool = False) -> State[None]:
    """Delete old runs, caches and images that nothing names. slipway.toml says how old they must be.

    Args:
        dry_run: only report what would be deleted.
    """
    report = Rows()
    with run_context("housekeeping", report) as run:
        report |= {"asked for": "dry run" if dry_run else "delete what is old"}
        removed: list[Freed] = []
        failures: list[SlipwayError] = []
        for part in (forget_runs, sweep_machine, sweep_test_cache, sweep_engine, sweep_registry):
            try:
                freed = part(run, dry_run)
            except SlipwayError as failure:  # a part that fails does not stop the others
                run.say(str(failure))
                failures.append(failure)
            else:
                removed += freed
                report |= {one.what: one for one in freed}
        raise_all(list({str(failure): failure for failure in failures}.values()))  # several may be the same
        summary = "; ".join(f"{one.what}: {one}" for one in removed if one.count) or "nothing"
        return Completed(message=f"{'Would remove' if dry_run else 'Removed'} {summary}.")


def forget_runs(run: RunContext, dry_run: bool) -> list[Freed]:
    """Delete old flow runs from Prefect."""
    return [tasks.forget_runs(run, dry_run=dry_run)]


def sweep_machine(run: RunContext, dry_run: bool) -> list[Freed]:
    """Delete old files on this machine."""
    return tasks.sweep_machine(run, dry_run=dry_run)


def sweep_test_cache(run: RunContext, dry_run: bool) -> list[Freed]:
    """Delete old cached test results, and old reports of duels."""
    return [tasks.sweep_test_cache(run, dry_run=dry_run), tasks.sweep_duel_reports(run, dry_run=dry_run)]


def sweep_engine(run: RunContext, dry_run: bool) -> list[Freed]:
    """Delete old images on this machine's engine, and containers of killed runs."""
    left = tasks.remove_abandoned_containers(run, dry_run=dry_run)
    return [left, tasks.sweep_engine(run, dry_run=dry_run)]


def sweep_registry(run: RunContext, dry_run: bool) -> list[Freed]:
    """Delete old images from the registry, a few at a time; `latest` does not move meanwhile."""
    freed, stock = Freed("tags in the registry", 0), tasks.take_stock(run)
    while True:
        with nullcontext() if dry_run else global_lock(LATEST):
            swept = tasks.sweep_registry(run, stock, dry_run=dry_run)
            untagged = None if swept.more else tasks.sweep_untagged(run, swept.left, dry_run=dry_run)
        freed, stock = freed + swept.freed, swept.left
        if untagged is not None:
            return [freed, untagged]
        sleep(REACQUIRE_PAUSE)
