"""Rollback: an earlier good release comes back, and stays until somebody says otherwise."""

from dataclasses import replace
from datetime import UTC, datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import tasks
from flows.core import record as records
from flows.core.errors import ReleaseRefused
from flows.core.record import Record
from flows.flow_run import asked_by, reported_run
from flows.releasing import put_in_force, reconcile
from flows.stages.release import hold, turn, write


@flow(name="rollback", flow_run_name="{environment} ← back")
def rollback(environment: str, reason: str, release: int | None = None, by: str = "") -> State[None]:
    """Go back to the release before, or to that number, and hold the environment there.

    The nightly release leaves it alone until somebody lifts the hold (`resume`) or releases something newer;
    also where the rollback failed, and what was live is live again.

    Args:
        environment: one of those in slipway.toml.
        reason: why; the nightly release will tell it.
        release: the number of a release that was good; by default the one before what is live.
        by: who asks, as Prefect does not know.
    """
    with reported_run("rollback") as (run, facts):
        facts |= {"environment": environment, "reason": reason, "asked by": asked_by(by)}
        wait = run.settings.environment(environment).lock_wait
        with turn(run, environment, wait) as here:
            if (mended := reconcile(run, here)) is not None:
                facts["left in the middle"] = mended
            history = tasks.observe(run, environment).history
            target = choose(history, release)
            live = records.live(history)
            back = replace(
                target,
                number=records.next_number(history),
                run=run.id,
                asked_by=asked_by(by),
                asked_for=f"rollback to release {target.number}: {reason}",
                started=datetime.now(UTC),
                verdict="pending",
                takes_back=True,
                reason="",
                good_since=None,
                ended=None,
            )
            facts |= {"from": live or "nothing", "to": target, "release": back.number}
            run.model_manifest(back.capsule)
            hold(run, here, asked_by(by), f"rolled back to {target.content}: {reason}")
            write(run, here, back)
            facts["proof"] = put_in_force(run, here, back, back.asked_for)
        return Completed(message=f"{environment} runs {target.content} again, and is held: {reason}.")


def choose(history: tuple[Record, ...], number: int | None) -> Record:
    """The release to go back to; `ReleaseRefused` lists those there are."""
    live = records.live(history)
    good = [r for r in records.newest_first(history) if r.was_good and r != live]
    if number is None:
        found = records.previous_good(history)
    else:
        found = next((r for r in good if r.number == number), None)
    if found is None:
        listed = ", ".join(f"{r.number} ({r.content})" for r in good) or "none"
        raise ReleaseRefused(
            "There is no good release to roll back to."
            if number is None
            else f"Release {number} was never good here, is live already, or is no longer known.",
            f"Good releases before the live one: {listed}.",
        )
    return found
